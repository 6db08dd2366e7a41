#!/bin/sh
# Installs program, library, header, pkg-config file, man pages and bash completion.
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

install -d "$dest/bin" "$dest/lib/pkgconfig" "$dest/include" "$dest/share/man/man1" "$dest/share/bash-completion/completions"
install -m 755 "$build/xlmr" "$dest/bin/xlmr"
install -m 644 "$build/libxlmr.a" "$dest/lib/libxlmr.a"
install -m 755 "$build/libxlmr.so" "$dest/lib/libxlmr.so.$version"
ln -sf "libxlmr.so.$version" "$dest/lib/libxlmr.so.0"
ln -sf libxlmr.so.0 "$dest/lib/libxlmr.so"
install -m 644 include/xr.h "$dest/include/xr.h"
cat >"$dest/lib/pkgconfig/xlmr.pc" <<PC
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
"$build/xlmr" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p' | while read -r verb; do
    "$build/xlmr" help --man "$verb" >"$dest/share/man/man1/xlmr-$verb.1"
done
"$build/xlmr" help --completion bash >"$dest/share/bash-completion/completions/xlmr"
