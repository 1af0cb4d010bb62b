# shellcheck shell=bash
# Brings what the scripts run on: Python's packages in .venv, and programs of Debian's packages. Sourced, never run.
#
# Works with the bash 3.2 of macOS. Whatever is interrupted here is done again by the next call.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
VENV="$ROOT/.venv"
STAMP="$VENV/.data-phantom-installed"
QUIET="${QUIET:-}"

say() { [ -n "$QUIET" ] || printf '%s\n' "$*" >&2; }

fail() {
  { echo; printf '%s\n' "$@"; } >&2
  exit 1
}

# The packages of these extras, and those of earlier calls, are in .venv after this.
ensure_venv() {
  local wanted="$*" installed python
  # Lent by another checkout: an installation from here would lead that one's programs to these sources.
  if [ -L "$VENV/bin" ]; then return; fi
  if is_installed "$wanted"; then return; fi
  # Two scripts at once would install over each other: the second waits, and then finds all done. (The lock is held on
  # this very file; macOS has no flock, and goes without.)
  if command -v flock >/dev/null; then
    exec 9<"${BASH_SOURCE[0]}"
    flock -n 9 || { say "Another installation is going on: waiting for it."; flock 9; }
  fi
  if ! is_installed "$wanted"; then
    installed="$(stamped_extras)"
    if ! venv_works; then
      python="$(find_python)" || exit 1
      make_venv "$python"
    fi
    install_packages "$(union "$wanted" "$installed")"
  fi
  exec 9<&-
}

is_installed() {
  local extra stamped
  [ -f "$STAMP" ] && [ "$(head -n 1 "$STAMP")" = "$(fingerprint)" ] || return 1
  stamped=" $(stamped_extras) "
  for extra in $1; do
    case "$stamped" in *" $extra "*) ;; *) return 1 ;; esac
  done
}

# What an installation depends on; the folder is part of it, for a .venv cannot be moved.
fingerprint() {
  { cat "$ROOT/pyproject.toml" "$ROOT/requirements.lock" 2>/dev/null; echo "$ROOT"; } | cksum
}

stamped_extras() { [ -f "$STAMP" ] && sed -n 2p "$STAMP" || true; }

union() { printf '%s\n' "$@" | tr ' ' '\n' | grep . | sort -u | tr '\n' ' ' | sed 's/ $//'; }

venv_works() {
  "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
    [ "$("$VENV/bin/python" -c 'import sys; print(sys.prefix)')" = "$VENV" ] &&
    { [ ! -f "$STAMP" ] || [ "$(sed -n 3p "$STAMP")" = "$ROOT" ]; }
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Data Phantom needs Python 3.11 or newer, and none was found on the PATH." \
    "Install it (on Debian: apt-get install python3), or name it: PYTHON=/path/to/python3 $0"
}

make_venv() {
  local python="$1" package log
  [ ! -L "$VENV" ] || fail ".venv is a link, to $(readlink "$VENV"): making it anew would clear what it leads to." \
    "Remove the link, and run $0 again: it gets a .venv of its own."
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian's python3 comes without; a python3.12 beside it has a package of its own name.
    package="$(basename "$python")-venv"
    install_debian "$package" "because $python comes without the means to make .venv"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
      fail "$python still cannot make a virtual environment. Install Python's venv module, and run $0 again."
  fi
  say "Making .venv with $("$python" --version)."
  log="$(mktemp)"
  # --clear: what an interrupted call, a move of the folder or an older Python has left does not work any more.
  "$python" -m venv --clear "$VENV" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; fail ".venv could not be made."; }
  rm -f "$log"
}

install_packages() {
  local extras="$1" log constraints=() started=$SECONDS
  log="$(mktemp)"
  [ ! -f "$ROOT/requirements.lock" ] || constraints=(-c "$ROOT/requirements.lock")
  say "Installing Data Phantom and its packages into .venv: the first time takes a minute or so."
  rm -f "$STAMP"
  if ! PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 "$VENV/bin/python" -m pip install \
    --progress-bar off --editable "${ROOT}[${extras// /,}]" ${constraints[@]+"${constraints[@]}"} >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "pip could not install the packages: its own words stand above." \
      "Where it is the network, mend it (a proxy, an index of your own in pip's settings) and run $0 again."
  fi
  rm -f "$log"
  # Written aside and moved into place: a stamp is there in full, or not at all.
  printf '%s\n%s\n%s\n' "$(fingerprint)" "$extras" "$ROOT" >"$STAMP.new"
  mv "$STAMP.new" "$STAMP"
  say "Installed in $((SECONDS - started)) s."
}

# install_debian "package package" "why": as root, or by sudo; says what it does.
install_debian() {
  local packages="$1" why="$2" log
  find_apt "$packages" "$why"
  say "Installing Debian's $packages, $why$APT_BY."
  log="$(mktemp)"
  update_debian "$log"
  # shellcheck disable=SC2086  # the packages are words
  if ! "${APT[@]}" -q install -y --no-install-recommends $packages >>"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    fail "apt-get could not install $packages: its own words stand above. Mend it, and run $0 again."
  fi
  rm -f "$log"
}

# unpack_debian package "why": its files in .venv/debian. Nothing is installed, so nothing that it serves is started.
unpack_debian() {
  local package="$1" why="$2" folder log
  say "Unpacking Debian's $package into .venv, $why."
  folder="$(mktemp -d)"
  chmod 755 "$folder" # apt-get as root fetches by a user of its own
  log="$folder/log"
  if ! fetch_debian "$package" "$folder" >"$log" 2>&1; then
    # Without a list of packages nothing is found; that alone wants root.
    find_apt "$package" "$why"
    update_debian "$log"
    fetch_debian "$package" "$folder" >>"$log" 2>&1 || {
      cat "$log" >&2
      rm -rf "$folder"
      fail "apt-get could not fetch $package: its own words stand above. Mend it, and run $0 again."
    }
  fi
  dpkg-deb -x "$folder/${package}"_*.deb "$VENV/debian"
  rm -rf "$folder"
}

fetch_debian() { (cd "$2" && apt-get -q download "$1"); }

# Sets APT, as root or by sudo, and APT_BY, which says so.
find_apt() {
  local packages="$1" why="$2"
  command -v apt-get >/dev/null ||
    fail "$packages is missing, $why; and there is no apt-get here. Install it, and run $0 again."
  APT=(env DEBIAN_FRONTEND=noninteractive apt-get)
  APT_BY=""
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      fail "$packages is missing, $why. As root, run" "" "    apt-get install --no-install-recommends $packages" "" \
        "and then $0 again."
    fi
    APT=(sudo "${APT[@]}")
    APT_BY=" (by sudo)"
  fi
}

# update_debian LOG: once. A list that cannot be fetched matters only if a package is then not found.
update_debian() {
  [ -z "${APT_UPDATED:-}" ] || return 0
  "${APT[@]}" -q update >"$1" 2>&1 || say "  (apt-get update had something to complain about; going on)"
  APT_UPDATED=yes
}
