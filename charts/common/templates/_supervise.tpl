{{/* Written from the model by `swarmrace schema --write charts`; don't edit. */}}
{{- define "common.codex.supervise" -}}
#!/bin/sh
# Runs a Codex node in a pod's sidecar and starts it cold when the runner asks.
#
#   supervise.sh NODE ARGUMENTS…     for example: supervise.sh /docker-entrypoint.sh codex --api-port=8080
#
# SUPERVISE_CONTROL  folder shared with the runner (an emptyDir)
# SUPERVISE_DATA     the node's data directory, a folder below a volume; removed before a cold start
# SUPERVISE_ALONE    optional argument for a node that has none to join (--no-bootstrap-node)
#
# The runner writes `request` (by renaming): generation=N, action=start or stop, bootstrap=RECORD or
# nothing. This writes `status` (by renaming): generation, state, pid, start_ticks (field 22 of
# /proc/PID/stat), starts, unasked, note, command; and `environment`, the node's own variables. Before the first request the node runs as generation 0, so
# that the sidecar's startup probe has an API to ask. A node that ends by itself, or a container that
# starts again, counts as `unasked` and is started again on the data as they are.
set -u
umask 022
: "${SUPERVISE_CONTROL:?expected the folder shared with the runner}"
: "${SUPERVISE_DATA:?expected the data directory of the node}"

generation=0 action=start bootstrap='' starts=0 unasked=0 note='' pid='' state=stopped command=''

# Sets generation, action and bootstrap from the request, if there is one.
read_request() {
  [ -r "$SUPERVISE_CONTROL/request" ] || return 1
  while read -r line || [ -n "$line" ]; do
    case $line in
      generation=*) generation=${line#generation=} ;;
      action=*) action=${line#action=} ;;
      bootstrap=*) bootstrap=${line#bootstrap=} ;;
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
  printf 'generation=%s\nstate=%s\npid=%s\nstart_ticks=%s\nstarts=%s\nunasked=%s\nnote=%s\ncommand=%s\n' \
    "$generation" "$state" "${pid:-0}" "$ticks" "$starts" "$unasked" "$note" "$command" \
    >"$SUPERVISE_CONTROL/status.part" &&
    mv "$SUPERVISE_CONTROL/status.part" "$SUPERVISE_CONTROL/status"
}

alive() {
  [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
  read -r line 2>/dev/null <"/proc/$pid/stat" || return 1
  case ${line##*)} in ' Z'*) return 1 ;; esac
}

# Four looks a second: the loop runs beside the race and must not be felt in it.
pause() { sleep 0.25 2>/dev/null || sleep 1; }

stop_node() {
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null
    tries=20
    while [ $tries -gt 0 ] && alive; do
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
  if [ -n "$bootstrap" ]; then
    set -- "$@" "--bootstrap-node=$bootstrap"
  elif [ -n "${SUPERVISE_ALONE:-}" ]; then
    set -- "$@" "$SUPERVISE_ALONE"
  fi
  "$@" &
  pid=$! state=running starts=$((starts + 1)) command=$*
}

# What the node reads from its environment, for the result; nothing that sounds like a secret.
write_environment() {
  env | while read -r line; do
    case $line in
      *KEY* | *TOKEN* | *PASSWORD* | *SECRET*) ;;
      CODEX_* | STORAGE_*) printf '%s\n' "$line" ;;
    esac
  done >"$SUPERVISE_CONTROL/environment"
}

trap 'stop_node; write_status; exit 0' TERM INT

mkdir -p "$SUPERVISE_CONTROL"
write_environment
if [ -r "$SUPERVISE_CONTROL/status" ]; then
  while read -r line || [ -n "$line" ]; do
    case $line in
      starts=*) starts=${line#starts=} ;;
      unasked=*) unasked=${line#unasked=} ;;
    esac
  done <"$SUPERVISE_CONTROL/status"
  unasked=$((unasked + 1)) note='the container started again'
  read_request
fi
if [ "$action" = start ]; then start_node "$@"; fi
write_status

while :; do
  pause
  look
  if [ "$wanted" != "$generation" ]; then
    stop_node
    rm -rf "$SUPERVISE_DATA"
    read_request
    if [ "$action" = start ]; then start_node "$@"; fi
    write_status
  elif [ "$state" = running ] && ! alive; then
    wait "$pid" 2>/dev/null
    code=$?
    unasked=$((unasked + 1)) note="pid $pid of generation $generation ended with exit code $code"
    echo "supervise: $note; starting it again" >&2
    sleep 1
    start_node "$@"
    write_status
  fi
done
{{- end -}}
