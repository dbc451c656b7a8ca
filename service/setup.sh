# SPDX-License-Identifier: Apache-2.0
# Read by service/quickstart, tests/run and .ci/run; needs $root, the folder of the sources.
#   fl_packages         installs the packages of service/packages.txt that are missing
#   fl_build PRESET     configures (once) and builds; shows the log only when that fails

fl_say() { printf '%s\n' "$*" >&2; }

fl_packages() {
    wanted=$(sed 's/#.*//' "$root/service/packages.txt")
    if ! command -v dpkg-query >/dev/null 2>&1; then
        fl_say "This is no Debian: packages like the following are needed:" $wanted
        return 0
    fi
    there=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null || true)
    missing=
    for package in $wanted; do
        case "
$there
" in
        *"
$package installed
"*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -z "$missing" ] && return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            fl_say "These packages are missing; install them as root and run this again:"
            fl_say "    apt-get install --no-install-recommends$missing"
            return 1
        fi
        as_root="sudo"
    fi
    fl_say "Installing$missing"
    mkdir -p "$root/build"
    log=$root/build/packages.log
    if ! { $as_root apt-get -q update &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        fl_say "Could not install packages; all of the log: $log"
        return 1
    fi
}

fl_jobs() {
    # a compiler may take 500 MB: no more of them than memory allows
    jobs=$(nproc 2>/dev/null || echo 1)
    memory=$(awk '/^MemAvailable:/ { print int($2 / 600000) }' /proc/meminfo 2>/dev/null || echo 1)
    [ "${memory:-1}" -lt 1 ] && memory=1
    [ "$jobs" -gt "${memory:-1}" ] && jobs=$memory
    echo "$jobs"
}

fl_build() {
    preset=$1
    folder=$root/build/$preset
    log=$folder/build.log
    mkdir -p "$folder"
    : >"$log"
    if [ ! -f "$folder/build.ninja" ]; then
        fl_say "Building preset $preset (first time: a minute or two) ..."
        if ! (cd "$root" && cmake --preset "$preset") >>"$log" 2>&1 </dev/null; then
            cat "$log" >&2
            fl_say "Configuring failed; the log: $log"
            return 1
        fi
    fi
    if ! ninja -C "$folder" -j "${FL_JOBS:-$(fl_jobs)}" >>"$log" 2>&1 </dev/null; then
        grep -v '^\[[0-9]*/[0-9]*\] Building' "$log" | tail -n 60 >&2
        fl_say "The build failed; all of the log: $log"
        return 1
    fi
}
