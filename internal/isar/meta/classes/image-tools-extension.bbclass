# Image commands run in the imager: the tools tree of n3x with the packages that the image type asks for.

IMAGER_INSTALL ??= ""
IMAGER_BUILD_DEPS ??= ""
IMAGER_BOM ??= ""
do_image_tools[depends] += "${@' '.join([dep + ':do_deploy_deb' for dep in (d.getVar('IMAGER_BUILD_DEPS') or '').split()])}"

# Usage: imager_run [-p] [-d DIR] [-u USER] [-- COMMAND...]; without a command the script comes from standard input.
imager_run() {
    imager_dir="/"
    while [ $# -gt 0 ]; do
        case "$1" in
            -p) shift ;;
            -d) imager_dir="$2"; shift 2 ;;
            -u) shift 2 ;;
            --) shift; break ;;
            *) break ;;
        esac
    done
    if [ $# -eq 0 ]; then
        ( cd "$imager_dir" && /bin/sh -e -s )
    else
        ( cd "$imager_dir" && "$@" )
    fi
}
