SUMMARY = "Example of a recipe"
DESCRIPTION = "Made with the layer; replace it by a recipe of your own"
LICENSE = "MIT"

do_display_banner() {
    echo "The example recipe of a new layer was built."
}
addtask display_banner before do_build
