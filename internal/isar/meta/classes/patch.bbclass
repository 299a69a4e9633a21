# Applies the patches of SRC_URI to S.

PATCHTOOL ?= "quilt"

do_patch() {
    n3x_native base.patch
}
addtask patch after do_unpack
