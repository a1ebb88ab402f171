# Sourced by the scripts ingot and dev, with $here set to the repository.
# set_up EXTRAS… sets $python to the Python of the checkout's own environment.

find_python() {
    # A name on PATH is not enough: version managers leave shims that only print an error.
    for candidate in ${INGOT_PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.11 or newer is needed, and none was found on PATH" >&2
    echo "hint: install it (Debian 12 or newer: apt-get install python3 python3-venv), or set INGOT_PYTHON" >&2
    exit 6
}

set_up() {
    base=$(find_python) || exit
    python=$("$base" "$here/builder/bootstrap.py" "$@") || exit
}
