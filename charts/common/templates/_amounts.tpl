{{/* What a user would have to compute: in floating arithmetic and generous; a value overrides each. */}}

{{/* swarmrace.bytes: bytes of a size or bytes per second of a rate: 100MB, 1.5GiB, 64Mi, 100Mbit or a number. */}}
{{- define "swarmrace.bytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%v" (int64 .)) -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text | trim | trimSuffix "/s" -}}
{{- $scales := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $scale := get $scales ($unit | trimSuffix "bit" | trimSuffix "B") -}}
{{- divf (mulf (float64 $number) $scale) (hasSuffix "bit" $unit | ternary 8.0 1.0) | addf 0.5 | floor | int64 -}}
{{- end -}}

{{/* swarmrace.storage: bytes that a peer's volume holds: payload, a node's copy of it, room. Takes a release. */}}
{{- define "swarmrace.storage" -}}
{{- with .global.peers.storage.size -}}
{{- include "swarmrace.bytes" . -}}
{{- else -}}
{{- addf (mulf 2.25 (include "swarmrace.bytes" .race.fileSize)) 268435456 | int64 -}}
{{- end -}}
{{- end -}}

{{/* swarmrace.deadline: seconds that the race may take: no timeout bounds more than two stages of a run. Takes a release. */}}
{{- define "swarmrace.deadline" -}}
{{- $run := 100.0 -}}
{{- range $_, $seconds := .race.timeouts -}}{{- $run = addf $run (mulf 2 $seconds) -}}{{- end -}}
{{- $all := mulf (len .global.entrants) (add1 .race.repetitions) $run -}}
{{- .global.peers.activeDeadlineSeconds | default (addf $all (mulf 2 .race.timeouts.assembleSeconds) 900) | int64 -}}
{{- end -}}
