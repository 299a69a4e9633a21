#!/bin/sh
# Stands where recipes call sudo: the caller is root already, so only sudo's own options are taken off.
while [ $# -gt 0 ]; do
    case "$1" in
        -s|--shell)
            shift
            if [ $# -eq 0 ]; then exec /bin/bash; fi
            exec /bin/bash -c '"$0" "$@"' "$@"
            ;;
        -Es|-sE) shift; exec /bin/bash ;;
        -u|-g|-C|-p|-h) shift 2 ;;
        --) shift; break ;;
        -*) shift ;;
        *=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || exit 0
exec "$@"
