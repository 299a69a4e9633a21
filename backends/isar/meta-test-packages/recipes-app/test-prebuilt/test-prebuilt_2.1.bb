DESCRIPTION = "A package that was built elsewhere"

inherit dpkg-prebuilt

SRC_URI = "file://test-prebuilt_2.1_all.deb"
