# Messages from shell functions. n3x reads them from the task's log: what starts with
# "WARNING: ", "ERROR: " or "n3x-plain: " is also shown to the user.

bbplain() {
    echo "n3x-plain: $*"
}

bbnote() {
    echo "NOTE: $*"
}

bbwarn() {
    echo "WARNING: $*"
}

bberror() {
    echo "ERROR: $*"
}

bbfatal() {
    echo "ERROR: $*"
    exit 1
}

bbfatal_log() {
    echo "ERROR: $*"
    exit 1
}

# Usage: bbdebug LEVEL TEXT...
bbdebug() {
    shift
    echo "DEBUG: $*"
}
