# Runs on the printer: in sh, with no more than POSIX and busybox have. k485 sets before it:
#   job (install, uninstall or status), place (a folder or nothing), force (yes or no), version,
#   names (the files), sums (what cksum says of them), and the function put_files.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "k485: $*"
    if [ -n "${new:-}" ]; then rm -rf "$new"; fi
    exit 1
}

refuse() {
    say "k485: $*"
    exit 6
}

# The folder of Klipper's extras in or at a folder: into $extras.
look() {
    for extras in "$1/klippy/extras" "$1/extras" "$1"; do
        if [ -d "$extras" ] && { [ -e "$extras/../klippy.py" ] || [ -e "$extras/gcode_macro.py" ]; }
        then
            return 0
        fi
    done
    return 1
}

find_extras() {
    if [ -n "$place" ]; then
        place=${place%/}
        look "${place:-/}" || die "${place:-/}: neither Klipper nor its folder klippy/extras"
        return
    fi
    for base in "$HOME/klipper" /usr/share/klipper /usr/data/klipper /home/*/klipper; do
        if look "$base"; then return; fi
    done
    die "Klipper is in none of the usual places; say where: its folder, or klippy/extras in it"
}

# What cksum says of the files, or their sizes where there is no cksum.
sums_of() {
    if command -v cksum > /dev/null; then
        (cd "$1" && cksum $names)
    else
        (cd "$1" && for name in $names; do printf 'x %s %s\n' "$(($(wc -c < "$name")))" "$name"; done)
    fi 2> /dev/null
}

# The same of what k485 has.
own_sums() {
    if command -v cksum > /dev/null; then
        printf '%s\n' "$sums"
    else
        printf '%s\n' "$sums" | while read -r _ size name; do printf 'x %s %s\n' "$size" "$name"; done
    fi
}

# What is there: into $state, and its version into $found.
inspect() {
    home=$extras/trace_hooks
    list=$home/k485.manifest
    found=
    if [ -h "$home" ]; then
        state='link'
    elif [ -e "$extras/trace_hooks.py" ]; then
        state=single
    elif [ ! -e "$home" ]; then
        state=absent
    elif [ "$(sums_of "$home")" = "$(own_sums)" ] && only "$names"; then
        state=same
        found=$version
    elif [ ! -f "$list" ]; then
        state=foreign
    else
        read -r _ found < "$list"
        names=$(sed -n '2,$s/.* //p' "$list")
        if [ "$(sums_of "$home")" = "$(sed 1d "$list")" ] && only "$names"; then
            state=other
        else
            state=changed
        fi
    fi
}

# Whether there are no files but these, and what belongs to them.
only() {
    for entry in "$home"/* "$home"/.[!.]*; do
        case " $(printf '%s ' $1)k485.manifest __pycache__ * .[!.]* " in
            *" ${entry##*/} "*) ;;
            *) return 1 ;;
        esac
    done
}

# Says where printer.cfg has the section, as far as it can be found.
section() {
    for config in "$HOME"/printer_data/config/printer.cfg /home/*/printer_data/config/printer.cfg \
        /usr/data/printer_data/config/printer.cfg /mnt/UDISK/printer_data/config/printer.cfg; do
        if grep -q '^\[trace_hooks' "$config" 2> /dev/null; then
            printf '%s' "$config"
            return
        fi
    done
}

restart_note="Then restart Klipper's service (systemctl restart klipper, or the printer's power): RESTART
alone goes on with the code that was loaded."

install_it() {
    case $state in
        single) refuse "$extras/trace_hooks.py is another tracer. Move it out of the extras (mv \
'$extras/trace_hooks.py' ~), stop what uses it, and install again" ;;
        link) refuse "$home is a link, so somebody works on it there. Remove the link (rm '$home') and \
install again" ;;
        foreign) [ "$force" = yes ] || refuse "$home was not put there by k485. Move it away, or let \
it be overwritten: --force" ;;
        changed) [ "$force" = yes ] || refuse "$home ($found) was changed since k485 put it there. \
Keep what you need of it, and let it be overwritten: --force" ;;
    esac
    if [ "$state" = same ] && [ -f "$list" ]; then
        say "trace_hooks $version is in $home already, unchanged"
    else
        [ -w "$extras" ] || die "$extras cannot be written by $(id -un); be its owner, or root"
        new=$extras/.trace_hooks.new.$$
        names=$own_names
        mkdir "$new" || die "$new cannot be made"
        put_files "$new" || die "the files cannot be written to $new; is the disk full?"
        [ "$(sums_of "$new")" = "$(own_sums)" ] || die "what was written is not what was sent"
        { printf 'trace_hooks %s\n' "$version" && own_sums; } > "$new/k485.manifest" \
            || die "$new/k485.manifest cannot be written"
        if [ -e "$home" ]; then
            mv "$home" "$new.old" || die "$home cannot be moved away"
        fi
        if ! mv "$new" "$home"; then
            [ ! -e "$new.old" ] || mv "$new.old" "$home"
            die "$home cannot be made"
        fi
        rm -rf "$new.old"
        say "trace_hooks $version is in $home"
        [ -z "$found" ] || [ "$found" = "$version" ] || say "it takes the place of $found"
    fi
    config=$(section)
    if [ -n "$config" ]; then
        say "$config has its section."
    else
        say "Add to printer.cfg:"
        say
        say "    [trace_hooks]"
        say
    fi
    say "$restart_note"
}

uninstall_it() {
    case $state in
        absent) say "there is no trace_hooks in $extras" ;;
        single) refuse "$extras/trace_hooks.py is another tracer, and not k485's to remove" ;;
        link) refuse "$home is a link; remove it yourself: rm '$home'" ;;
        foreign | changed)
            [ "$force" = yes ] || refuse "$home is not as k485 put it there. Keep what you need of it; \
--force removes it" ;;
    esac
    if [ "$state" != absent ]; then
        [ -w "$extras" ] || die "$extras cannot be written by $(id -un); be its owner, or root"
        rm -rf "$home" || die "$home cannot be removed"
        say "removed $home"
    fi
    config=$(section)
    if [ -n "$config" ]; then
        say "$config still has [trace_hooks]: take it out, Klipper does not start with it. $restart_note"
    elif [ "$state" != absent ]; then
        say "Take [trace_hooks] out of printer.cfg, Klipper does not start with it. $restart_note"
    fi
}

status_it() {
    case $state in
        same) say "as this k485 has it" ;;
        other) say "of another version; this k485 has $version" ;;
        changed) say "changed since k485 put it there" ;;
        foreign) say "not put there by k485" ;;
        single) say "another tracer, a single file" ;;
        link) say "a link" ;;
        absent) say "not installed" ;;
    esac
    case $state in
        absent) printf 'none %s\n' "$extras" ;;
        single) printf '%s %s\n' "$state" "$extras/trace_hooks.py" ;;
        *) printf '%s %s %s\n' "$state" "$home" "${found:--}" ;;
    esac
    [ "$state" = same ] || exit 4
}

main() {
    umask 022
    LC_ALL=C
    export LC_ALL
    own_names=$names
    find_extras
    inspect
    "${job}_it"
}
