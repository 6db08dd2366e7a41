#!/bin/sh
# Installs program, library, header, pkg-config file, man pages and bash completion, and a list of them that uninstall.sh goes by.
#   install.sh BUILD DESTINATION PREFIX VERSION
set -eu
build=$1 dest=$2 prefix=$3 version=$4
# What the archive needs, spelt out: Requires.private would ask for what these libraries are themselves linked with, static or not.
for blas in /usr/lib/*/openblas-openmp/pkgconfig; do
    PKG_CONFIG_PATH=$blas:${PKG_CONFIG_PATH-}
done
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # a list of words
libs=$(pkg-config --libs $(sed -n 's/^PKGS := //p' Makefile))
# Where that OpenBLAS lies no loader looks, or it finds another flavour: the same rpath as in the Makefile.
blas=$(pkg-config --variable=libdir openblas)
libs="$libs ${blas:+-Wl,-rpath,${blas%/}}"

list=share/xlmr/installed
install -d "$dest"
# Directories that are made here are in the list, with a slash behind; those that were there stay when xlmr goes.
made=''
for folder in bin lib lib/pkgconfig include share share/man share/man/man1 share/bash-completion share/bash-completion/completions share/xlmr; do
    [ -d "$dest/$folder" ] || made="$made $folder/"
    install -d "$dest/$folder"
done
# shellcheck disable=SC2086  # a list of words
printf '%s\n' $made "$list" >>"$dest/$list"

# put MODE FILE PATH; name PATH TARGET: a symbolic link; write PATH COMMAND...: what it prints. Each is in the list before it is there.
put() {
    echo "$3" >>"$dest/$list"
    install -m "$1" "$2" "$dest/$3"
}
name() {
    echo "$1" >>"$dest/$list"
    ln -sf "$2" "$dest/$1"
}
write() {
    path=$1
    shift
    echo "$path" >>"$dest/$list"
    "$@" >"$dest/$path"
}

put 755 "$build/xlmr" bin/xlmr
put 644 "$build/libxlmr.a" lib/libxlmr.a
put 755 "$build/libxlmr.so" "lib/libxlmr.so.$version"
name lib/libxlmr.so.0 "libxlmr.so.$version"
name lib/libxlmr.so libxlmr.so.0
put 644 include/xr.h include/xr.h
write lib/pkgconfig/xlmr.pc cat <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: xlmr
Description: Training, fine-tuning and running XLM-RoBERTa on CPUs
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lxlmr
Libs.private: $libs -fopenmp -lstdc++ -lm
PC
write share/man/man1/xlmr.1 "$build/xlmr" help --man xlmr
"$build/xlmr" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p' | while read -r verb; do
    write "share/man/man1/xlmr-$verb.1" "$build/xlmr" help --man "$verb"
done
write share/bash-completion/completions/xlmr "$build/xlmr" help --completion bash
# What an earlier install put there is in the list too.
LC_ALL=C sort -u -o "$dest/$list" "$dest/$list"
