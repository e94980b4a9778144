#!/bin/sh
# Runs a node in a pod's sidecar and starts it cold when the runner asks. Any program's: what differs
# comes as arguments.
#
#   supervise.sh NODE ARGUMENTS…     for example: supervise.sh /docker-entrypoint.sh codex
#
# SUPERVISE_CONTROL  folder shared with the runner (an emptyDir)
# SUPERVISE_DATA     the node's data directory, a folder below a volume; removed before a cold start
# SUPERVISE_CGROUP   optional folder of the container's cgroup (/sys/fs/cgroup)
#
# The runner writes `request` (by renaming): generation=N, action=start or stop, and for the node a line
# argument=X for each further argument, environment=NAME=VALUE for each further variable. This writes
# `status` (by renaming): generation, state, pid, start_ticks (field 22 of /proc/PID/stat), starts,
# unasked, note, memory_kill (where the kernel killed the node for memory: the container's limit in
# bytes, or `unknown`), machine_kills, words (the end of the node's output), command; and `environment`,
# the variables that the node has from its container. Nothing runs before the first request: generation
# 0 is stopped. A node that ends by itself, or a container that starts again, counts as `unasked` and is
# started again on the data as they are.
set -u
umask 022
: "${SUPERVISE_CONTROL:?expected the folder shared with the runner}"
: "${SUPERVISE_DATA:?expected the data directory of the node}"

generation=0 action=stop starts=0 unasked=0 note='' words=''
kills=0 machine_kills=0 memory_kill='' hits=0 cgroup=${SUPERVISE_CGROUP:-/sys/fs/cgroup}
pid='' reader='' state=stopped command='' output=$SUPERVISE_CONTROL/output

# Sets generation and action from the request, if there is one.
read_request() {
  [ -r "$SUPERVISE_CONTROL/request" ] || return 1
  while read -r line || [ -n "$line" ]; do
    case $line in
      generation=*) generation=${line#generation=} ;;
      action=*) action=${line#action=} ;;
    esac
  done <"$SUPERVISE_CONTROL/request"
}

# Sets `wanted` to the generation asked for, without taking it over.
look() {
  wanted=$generation
  [ -r "$SUPERVISE_CONTROL/request" ] || return 0
  while read -r line || [ -n "$line" ]; do
    case $line in generation=*) wanted=${line#generation=} ;; esac
  done <"$SUPERVISE_CONTROL/request"
}

write_status() {
  ticks=''
  if [ -n "$pid" ] && read -r line 2>/dev/null <"/proc/$pid/stat"; then
    # shellcheck disable=SC2086  # the fields after the name, split on purpose
    { set -- ${line##*)}; ticks=${20:-}; }
  fi
  printf 'generation=%s\nstate=%s\npid=%s\nstart_ticks=%s\nstarts=%s\nunasked=%s\nnote=%s\nmemory_kill=%s\nmachine_kills=%s\nwords=%s\ncommand=%s\n' \
    "$generation" "$state" "${pid:-0}" "$ticks" "$starts" "$unasked" "$note" "$memory_kill" \
    "$machine_kills" "$words" "$command" \
    >"$SUPERVISE_CONTROL/status.part" &&
    mv "$SUPERVISE_CONTROL/status.part" "$SUPERVISE_CONTROL/status"
}

# Sets `count` to how many processes of the container the kernel has killed for memory, and `hits` to
# how often the container's own limit was reached (cgroup v2; 0 in v1).
count_kills() {
  count=0 hits=0
  for file in memory.events memory/memory.oom_control memory.oom_control; do
    [ -r "$cgroup/$file" ] || continue
    while read -r key value; do
      case $key in
        oom_kill) count=$value ;;
        oom) hits=$value ;;
      esac
    done <"$cgroup/$file"
  done
}

# Sets `machine_kills` to how many processes of the machine the kernel has killed for memory: all that a
# container knows that was itself killed whole.
count_machine_kills() {
  while read -r key value; do
    case $key in oom_kill) machine_kills=$value ;; esac
  done </proc/vmstat
}

# Sets `memory_kill` when the node that ended was killed for memory: to the container's limit where that
# was reached, to `unknown` where the machine's memory was used up.
look_for_kill() {
  memory_kill='' old_hits=$hits
  count_kills
  [ "$count" -gt "$kills" ] || return 0
  kills=$count memory_kill=unknown
  note="$note: out of memory: the kernel killed it"
  if [ -r "$cgroup/memory.events" ] && [ "$hits" -le "$old_hits" ]; then return 0; fi
  for file in memory.max memory/memory.limit_in_bytes memory.limit_in_bytes; do
    if [ -r "$cgroup/$file" ]; then read -r memory_kill <"$cgroup/$file"; fi
  done
}

alive() {
  [ -n "$1" ] && kill -0 "$1" 2>/dev/null || return 1
  read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  case ${line##*)} in ' Z'*) return 1 ;; esac
}

# Four looks a second: the loop runs beside the race and must not be felt in it.
pause() { sleep 0.25 2>/dev/null || sleep 1; }

stop_node() {
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null
    tries=20
    while [ $tries -gt 0 ] && alive "$pid"; do
      pause
      tries=$((tries - 1))
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  fi
  pid='' state=stopped
}

start_node() {
  mkdir -p -m 700 "$SUPERVISE_DATA"
  if [ -r "$SUPERVISE_CONTROL/request" ]; then
    variables=0
    while read -r line || [ -n "$line" ]; do
      case $line in
        argument=*) set -- "$@" "${line#argument=}" ;;
        environment=*) variables=1 && set -- "${line#environment=}" "$@" ;;
      esac
    done <"$SUPERVISE_CONTROL/request"
    [ $variables = 0 ] || set -- env "$@"
  fi
  reader=''
  rm -f "$output" "$output.old" "$output.pipe"
  if mkfifo "$output.pipe"; then
    keep_output <"$output.pipe" &
    reader=$!
    "$@" >"$output.pipe" 2>&1 &
  else
    "$@" &
  fi
  pid=$! state=running starts=$((starts + 1)) command=$*
}

# Passes the node's output on to the container's log and keeps its end: the last 256 writes at least,
# 2 MiB at most. dd and tee hold nothing back.
keep_output() {
  while :; do
    dd bs=4096 count=256 2>/dev/null | tee "$output"
    [ -s "$output" ] || break
    mv "$output" "$output.old"
  done
  cat  # after the end, nothing; where the disk is full, all the rest: a closed pipe would end the node
}

# Waits for the rest of the node's output. What the node left running may hold the pipe open, so the
# wait is short.
drain() {
  tries=4
  while [ $tries -gt 0 ] && alive "$reader"; do
    pause
    tries=$((tries - 1))
  done
}

# Sets `words` to the last lines of the node's output, in one line.
read_words() {
  drain
  words=$(
    cat "$output.old" "$output" 2>/dev/null | grep -v '^[[:space:]]*$' | tail -n 5 |
      while read -r line || [ -n "$line" ]; do printf '%s | ' "$line"; done |
      tr '[:cntrl:]' ' ' | tail -c 600
  )
  words=${words% | }
}

# What the node reads from its environment, for the result; nothing that sounds like a secret, and
# nothing that the cluster or this script put there.
write_environment() {
  env | while read -r line; do
    case $line in
      *KEY* | *TOKEN* | *PASSWORD* | *SECRET*) ;;
      SUPERVISE_* | KUBERNETES_* | HOSTNAME=* | PWD=* | OLDPWD=* | SHLVL=* | _=*) ;;
      [A-Z]*=*) printf '%s\n' "$line" ;;
    esac
  done >"$SUPERVISE_CONTROL/environment"
}

trap 'stop_node; drain; write_status; exit 0' TERM INT

mkdir -p "$SUPERVISE_CONTROL"
write_environment
count_kills
kills=$count
count_machine_kills
if [ -r "$SUPERVISE_CONTROL/status" ]; then
  before=$machine_kills
  while read -r line || [ -n "$line" ]; do
    case $line in
      starts=*) starts=${line#starts=} ;;
      unasked=*) unasked=${line#unasked=} ;;
      machine_kills=*) before=${line#machine_kills=} ;;
    esac
  done <"$SUPERVISE_CONTROL/status"
  unasked=$((unasked + 1))
  note="the container started again (its pod's status says why; swarmrace fetch records it)"
  if [ "$machine_kills" -gt "$before" ]; then
    note="$note; meanwhile the kernel killed a process of this machine for memory"
  fi
  read_words
  read_request
fi
if [ "$action" = start ]; then start_node "$@"; fi
write_status

while :; do
  pause
  look
  if [ "$wanted" != "$generation" ]; then
    stop_node
    words=''
    rm -rf "$SUPERVISE_DATA"
    read_request
    if [ "$action" = start ]; then start_node "$@"; fi
    count_machine_kills
    write_status
  elif [ "$state" = running ] && ! alive "$pid"; then
    wait "$pid" 2>/dev/null
    code=$?
    read_words
    unasked=$((unasked + 1)) note="pid $pid of generation $generation ended with exit code $code"
    look_for_kill
    echo "supervise: $note; starting it again" >&2
    sleep 1
    start_node "$@"
    write_status
  fi
done
