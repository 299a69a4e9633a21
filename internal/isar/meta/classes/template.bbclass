# Fills ${VARIABLE}s of files in WORKDIR: NAME.tmpl becomes NAME, any other NAME becomes NAME.out.

TEMPLATE_FILES ?= ""
TEMPLATE_VARS ?= "BPN PN PV DESCRIPTION HOMEPAGE MAINTAINER DISTRO_ARCH"

do_transform_template[vardeps] += "TEMPLATE_FILES ${TEMPLATE_VARS}"
python do_transform_template() {
    bb.build.exec_func('n3x_do_transform_template', d)
}
n3x_do_transform_template() {
    n3x_native base.transform_template
}
addtask transform_template after do_unpack
