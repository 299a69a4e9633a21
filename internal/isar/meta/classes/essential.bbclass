# Packages that the distribution calls essential and that a layer rebuilds; the list is empty unless a layer fills it.
ISAR_REBUILD_ESSENTIAL_PKGS ?= ""
