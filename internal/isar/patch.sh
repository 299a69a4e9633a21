# Applies patches to a folder: sh patch.sh TOOL FOLDER LIST CURRENT FIRST.
# LIST has a line for each patch, separated by tabs: its strip level, its path, its name, a file with the message of its
# commit, and the author and date of its header, or "-". The name of the patch that is being applied is written to
# CURRENT. With FIRST true, what an earlier run applied is taken back. Of a patch that does not apply, the hunks that do
# not fit are written to LIST.rej.
set -e
tool=$1
dir=$2
list=$3
current=$4
first=$5
tab=$(printf '\t')

mkdir -p "$dir"
cd "$dir"
if [ "$tool" = debian ]; then
    export QUILT_PATCHES=debian/patches
else
    mkdir -p patches
fi

# each COMMAND: runs COMMAND with $level, $file, $name, $message, $author, $date for each patch.
each() {
    while IFS="$tab" read -r level file name message author date <&3; do
        printf '%s' "$name" > "$current"
        [ "$tool" = quilt ] || echo "Applying patch $name"
        "$@"
    done 3< "$list"
}

# --- quilt: the folder "patches" has the patches and their series.
quilt_clean() {
    : >> patches/series
    quilt --quiltrc "$QUILTRCFILE" pop -a -f > /dev/null 2>&1 || true
    rm -f patches/series
}

quilt_push() {
    rm -f "patches/$name"
    cat "$file" > "patches/$name"
    echo "$name -p$level" >> patches/series
}

# All at once, since quilt is slow to start.
quilt_end() {
    quilt --quiltrc "$QUILTRCFILE" push "$(wc -l < "$list")" && return 0
    next=$(quilt --quiltrc "$QUILTRCFILE" next)
    printf '%s' "${next##*/}" > "$current"
    exit 1
}

# --- quilt, for a Debian source package of format 3.0 (quilt): a change that is not in debian/patches would be refused by
# dpkg-source, and one of debian/ itself cannot be there.
debian_is_ours() {
    while IFS="$tab" read -r _ _ n _; do
        [ "$n" != "$1" ] || return 0
    done < "$list"
    return 1
}

debian_clean() {
    mkdir -p debian/patches
    while top=$(quilt --quiltrc "$QUILTRCFILE" top 2> /dev/null); do
        top=${top#debian/patches/}
        debian_is_ours "$top" || break
        quilt --quiltrc "$QUILTRCFILE" delete -r "$top"
    done
}

debian_push() {
    files=$(sed -n -e 's/^+++ *//p' -e 's/^--- *//p' "$file" | sed -e "s/$tab.*//" -e 's/ *$//' | grep -v '^/dev/null$' || true)
    inside=$(echo "$files" | grep -c '^[^/]*/debian/' || true)
    outside=$(echo "$files" | grep -v -c '^[^/]*/debian/' || true)
    if [ "$level" != 1 ]; then
        echo "The sources are a Debian package of format 3.0 (quilt), whose patches have one leading folder; striplevel is $level"
        exit 1
    elif [ "$inside" -gt 0 ] && [ "$outside" -gt 0 ]; then
        echo "It changes debian/ and other files: split it, since the sources are a Debian package of format 3.0 (quilt)"
        exit 1
    elif [ "$inside" -gt 0 ]; then
        patch --no-backup-if-mismatch -p1 --batch --forward --dry-run < "$file" > /dev/null ||
            patch --no-backup-if-mismatch -p1 --batch --forward --dry-run < "$file"
        patch --no-backup-if-mismatch -p1 --batch --forward < "$file"
    else
        rm -f "debian/patches/$name"
        cat "$file" > "debian/patches/$name"
        # The series may lack its last line's end.
        if [ -s debian/patches/series ] && [ -n "$(tail -c 1 debian/patches/series)" ]; then
            echo >> debian/patches/series
        fi
        echo "$name" >> debian/patches/series
        quilt --quiltrc "$QUILTRCFILE" push "$name"
    fi
}

# --- patch: the series has lines "name,level".
patch_clean() {
    [ -f patches/series ] || return 0
    tac patches/series | while IFS=, read -r name level; do
        patch --no-backup-if-mismatch -p "$level" -R --batch < "patches/$name"
    done
    : > patches/series
}

patch_push() {
    patch --no-backup-if-mismatch -p "$level" --batch --forward --dry-run < "$file"
    patch --no-backup-if-mismatch -p "$level" --batch --forward < "$file" > /dev/null
    echo "$name,$level" >> patches/series
    cat "$file" > "patches/$name"
}

# --- git: a commit for each patch, in the repository that the folder belongs to or in a new one.
own_git() {
    git -c user.name="$PATCH_GIT_USER_NAME" -c user.email="$PATCH_GIT_USER_EMAIL" -c gc.auto=0 "$@"
}

git_clean() {
    if ! git rev-parse --show-toplevel > /dev/null 2>&1; then
        own_git init -q .
        own_git add .
        own_git commit -q -a --allow-empty -m bitbake_patching_started
    fi
    patch_clean
}

# git_has: an earlier run has made a commit of the patch as it is now.
git_has() {
    while read -r hash commit; do
        [ "$hash" != "$(git hash-object "$file")" ] || ! git merge-base --is-ancestor "$commit" HEAD || return 0
    done 2> /dev/null < "$(git rev-parse --git-dir)/n3x-patches"
    return 1
}

git_push() {
    if git_has; then
        echo "It is applied already"
        return 0
    fi
    if [ "$GIT_TREE_IS_PART" != 1 ] || [ -z "$(git status --short)" ]; then
        if own_git am -q -3 --keep-cr --no-scissors -p"$level" "$file"; then
            git_note
            return 0
        fi
        own_git am --abort 2> /dev/null || true
        own_git reset -q --hard HEAD
        own_git clean -q -f
    fi
    # It is no mail: applied as a plain patch.
    if ! git apply -p"$level" "$file"; then
        mkdir -p patches
        patch_push
    fi
    own_git add -f -A .
    own_git reset -q HEAD patches 2> /dev/null || true
    set -- commit -q --no-verify -F "$message"
    [ "$author" = - ] || set -- "$@" --author="$author"
    [ "$date" = - ] || set -- "$@" --date="$date"
    own_git "$@"
    git_note
}

git_note() {
    notes=refs/notes/devtool
    git config notes.rewriteMode ignore
    git config notes.displayRef "$notes"
    git config notes.rewriteRef "$notes"
    git config user.name "$PATCH_GIT_USER_NAME"
    git config user.email "$PATCH_GIT_USER_EMAIL"
    git notes --ref "$notes" append -m "original patch: $name" HEAD
    echo "$(git hash-object "$file") $(git rev-parse HEAD)" >> "$(git rev-parse --git-dir)/n3x-patches"
}

# rejected: finds the hunks of the current patch that do not fit; no file of the folder is changed.
rejected() {
    while IFS="$tab" read -r level file name _; do
        [ "$name" = "$(cat "$current" 2> /dev/null)" ] || continue
        patch -p"$level" --batch --forward -o "$list.out" -r "$list.rej" < "$file" > /dev/null 2>&1 || true
        rm -f "$list.out"
    done < "$list"
}
trap 'status=$?; [ "$status" = 0 ] || rejected; exit "$status"' EXIT

if [ "$first" = true ]; then
    "${tool}_clean"
fi
each "${tool}_push"
[ "$tool" != quilt ] || quilt_end
