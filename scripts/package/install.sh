#!/bin/sh
# Installs onelook from a release: the tarball for this machine, checked by its SHA-256 sum, below ~/.local.
#
#   ONELOOK_RELEASE=ADDRESS sh install.sh      the address, http(s) or file, of the folder with SHA256SUMS
#   sh install.sh --prefix DIR                 somewhere else than ~/.local
#   sh install.sh --uninstall [--prefix DIR]   removes what an installation wrote, and nothing else
#
# Asks for no rights, changes no settings of shells, and writes nothing until the sum was found right. An installation
# is recorded in PREFIX/share/onelook/installed-files; a new one takes the place of it.
set -eu

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }

need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install it and try again"; }

# What is fetched goes to a file; curl or wget, whichever is there.
fetch() {
    case $1 in
    file://*) cp "${1#file://}" "$2" 2>/dev/null || return 1 ;;
    *)
        if command -v curl >/dev/null 2>&1; then
            curl --fail --silent --show-error --location --retry 2 --output "$2" "$1"
        elif command -v wget >/dev/null 2>&1; then
            wget --quiet --output-document="$2" "$1"
        else
            fail "neither curl nor wget is there: install one of them"
        fi
        ;;
    esac
}

triple() {
    system=$(uname -s)
    machine=$(uname -m)
    case $system in
    Linux) ;;
    *) fail "there are no binaries for $system: build from source, cargo install --path crates/onelook-cli --locked" ;;
    esac
    case $machine in
    x86_64 | amd64) ;;
    *) fail "there are no binaries for $machine: build from source, cargo install --path crates/onelook-cli --locked" ;;
    esac
    # musl's ldd says its name on standard error.
    if ldd --version 2>&1 | grep -qi musl; then
        fail "the binary needs glibc, and this system has musl: build from source"
    fi
    say x86_64-unknown-linux-gnu
}

# Removes the files of an earlier installation, and the folders that are empty then.
remove_installed() {
    list=$prefix/share/onelook/installed-files
    [ -f "$list" ] || return 1
    while IFS= read -r file; do
        case $file in
        "" | /* | *..*) continue ;;
        esac
        rm -f "$prefix/$file"
        folder=$(dirname "$file")
        while [ "$folder" != . ]; do
            rmdir "$prefix/$folder" 2>/dev/null || break
            folder=$(dirname "$folder")
        done
    done <"$list"
    rm -f "$list"
    rmdir "$prefix/share/onelook" 2>/dev/null || true
}

uninstall() {
    remove_installed || fail "nothing was installed by this script in $prefix"
    say "removed from $prefix; models in ~/.cache/onelook and results were left alone"
}

install_release() {
    release=${ONELOOK_RELEASE:-}
    [ -n "$release" ] || fail "set ONELOOK_RELEASE to the address of the folder that has SHA256SUMS"
    release=${release%/}
    need tar
    need gzip
    need sha256sum
    platform=$(triple)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM

    fetch "$release/SHA256SUMS" "$work/SHA256SUMS" || fail "$release/SHA256SUMS cannot be fetched: check the address"
    tarball=$(sed -n "s/^[0-9a-f]\{64\} [ *]\(onelook-[0-9A-Za-z.+-]*-$platform\.tar\.gz\)\$/\1/p" "$work/SHA256SUMS")
    case $tarball in
    "") fail "the release has no tarball for $platform" ;;
    *"
"*) fail "the release has more than one tarball for $platform" ;;
    esac
    say "fetching $release/$tarball"
    fetch "$release/$tarball" "$work/$tarball" || fail "$release/$tarball cannot be fetched"
    grep -F -- "$tarball" "$work/SHA256SUMS" >"$work/sum"
    (cd "$work" && sha256sum -c sum >/dev/null 2>&1) ||
        fail "$tarball is not what SHA256SUMS says: it was cut short or changed on its way; nothing was installed"

    tar -xzf "$work/$tarball" -C "$work"
    tree=$work/${tarball%.tar.gz}
    "$tree/bin/onelook" --version >/dev/null 2>&1 ||
        fail "the binary does not run here (glibc 2.17 or later is needed); nothing was installed"

    remove_installed || true
    mkdir -p "$prefix/share/onelook" || fail "$prefix cannot be written: choose another --prefix"
    (cd "$tree" && find bin share -type f) | LC_ALL=C sort >"$work/installed-files"
    # The list comes first: what it names can be removed, whatever happens next.
    cp "$work/installed-files" "$prefix/share/onelook/installed-files"
    while IFS= read -r file; do
        mkdir -p "$prefix/$(dirname "$file")"
        # Renamed into its place: a program that runs keeps its file.
        cp -p "$tree/$file" "$prefix/$file.new"
        mv -f "$prefix/$file.new" "$prefix/$file"
    done <"$work/installed-files"
    say "installed $("$prefix/bin/onelook" --version) in $prefix"
    case :$PATH: in
    *":$prefix/bin:"*) ;;
    *) say "$prefix/bin is not on your PATH: add it in the settings of your shell" ;;
    esac
    command -v ffmpeg >/dev/null 2>&1 || say "ffmpeg is not there: images work, videos and cameras need it"
}

prefix=${HOME:-}/.local
action=install_release
while [ $# -gt 0 ]; do
    case $1 in
    --uninstall) action=uninstall ;;
    --prefix)
        [ $# -ge 2 ] || fail "--prefix: name a folder"
        prefix=$2
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown word '$1': see --help" ;;
    esac
    shift
done
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
[ "$prefix" != /.local ] || fail "HOME is not set: name a folder with --prefix"
$action
