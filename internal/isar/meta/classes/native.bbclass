# The variant of a recipe whose packages are for the machine that builds.
PACKAGE_ARCH:class-native = "${HOST_ARCH}"
