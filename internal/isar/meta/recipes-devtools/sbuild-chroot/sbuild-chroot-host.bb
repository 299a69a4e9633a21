# ISAR's build root for packages of the host. n3x has none; flavours of layers that require this file are skipped, too.
python() {
    raise bb.parse.SkipRecipe('n3x builds packages without a schroot')
}
