# Shared by ./run, ./test and the scripts beside this file; sourced, never run.
# Everything here says what it does on standard error and fails with the reason.

say() { printf '· %s\n' "$*" >&2; }
die() { printf 'hearth: %s\n' "$*" >&2; exit 1; }

# Names of the packages in the given blocks ("build", "test") of packages.txt.
packages_of() {
  local want=" $* " block="" first second
  while read -r first second _; do
    if [[ "$first" == '#' ]]; then
      block=$second
    elif [[ -n "$first" && "$want" == *" $block "* ]]; then
      echo "$first"
    fi
  done < "$ROOT/scripts/packages.txt"
}

# Whether another program provides what a package would: a Node.js of the user's own counts.
provided_otherwise() {
  case "$1" in
    nodejs) command -v node ;;
    npm) command -v npm ;;
    python3) command -v python3 ;;
    *) false ;;
  esac >/dev/null 2>&1
}

# Prints which packages of the blocks are missing.
missing_packages() {
  local package
  for package in $(packages_of "$@"); do
    provided_otherwise "$package" && continue
    [[ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" == "install ok installed" ]] || echo "$package"
  done
}

# Installs what is missing of the blocks; does nothing, quickly, when all is there.
install_packages() {
  command -v dpkg-query >/dev/null || { say "no dpkg here: scripts/packages.txt names what to install by hand"; return; }
  local missing; mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  local sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "these packages are missing and need root to install: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${#missing[@]} packages: ${missing[*]}"
  local log; log=$(mktemp)
  { "${sudo[@]}" apt-get update -qq &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "apt-get could not install the packages above (whole log: $log)"; }
  rm -f "$log"
}

# Configures and builds a preset, whole or the given targets; shows progress on a terminal.
# CMAKE_ARGS holds what a caller adds: ./run needs no tests, and no package of theirs.
CMAKE_ARGS=()
build() {
  local preset=$1; shift
  local dir="$ROOT/build/$preset" log="$ROOT/build/$preset.log" launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  export CCACHE_BASEDIR="${CCACHE_BASEDIR-$ROOT}"  # What one clone has compiled serves the next.
  mkdir -p "$ROOT/build"
  (cd "$ROOT" && cmake --preset "$preset" "${launcher[@]}" "${CMAKE_ARGS[@]}") >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; die "cmake could not configure '$preset' (whole log: $log)"; }
  [[ "$(ninja -C "$dir" -n "$@" | tail -n 1)" == *"no work to do"* ]] && return
  say "building $preset${*:+ ($*)}"
  ninja -C "$dir" "$@" 2>&1 | tee -a "$log" | show_progress ||
    { grep -A 20 -m 1 'FAILED' "$log" >&2; die "the build of '$preset' failed (whole log: $log)"; }
}

# Folds ninja's "[12/345] ..." lines into one that is rewritten in place; silent without a terminal.
show_progress() {
  local line
  while IFS= read -r line; do
    [[ -t 2 && "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]] &&
      printf '\r\033[K  %s of %s' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" >&2
  done
  [[ -t 2 ]] && printf '\r\033[K' >&2
  return 0
}
