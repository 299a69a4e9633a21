# Not built by the native engine yet. A recipe that needs it is skipped with the reason; the others of its layer are not affected.

python() {
    raise bb.parse.SkipRecipe("it inherits class linux-module, which n3x does not support yet (kas-container with real ISAR builds it)")
}
