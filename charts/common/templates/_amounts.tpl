{{/* Amounts that a user would have to compute, in generous floating-point arithmetic. A value overrides each. */}}

{{/* swarmrace.bytes: the bytes of a size or rate: 100MB, 1.5GiB, 64Mi, 100Mbit or a number. */}}
{{- define "swarmrace.bytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%v" (int64 .)) -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text | trim | trimSuffix "/s" -}}
{{- $scales := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $scale := get $scales ($unit | trimSuffix "bit" | trimSuffix "B") -}}
{{- divf (mulf (float64 $number) $scale) (hasSuffix "bit" $unit | ternary 8.0 1.0) | addf 0.5 | floor | int64 -}}
{{- end -}}

{{/* swarmrace.storage: bytes of a peer's volume: the payload, a node's copy of it, and room. Takes a release. */}}
{{- define "swarmrace.storage" -}}
{{- $computed := include "swarmrace.bytes" .race.fileSize | mulf 2.25 | addf 268435456 | int64 -}}
{{- include "swarmrace.bytes" (.global.peers.storage.size | default $computed) -}}
{{- end -}}

{{/* swarmrace.deadline: seconds until Kubernetes ends a peer's Job: in each run every timeout twice. Takes a release. */}}
{{- define "swarmrace.deadline" -}}
{{- $run := 100.0 -}}
{{- range $_, $seconds := .race.timeouts -}}{{- $run = addf $run (mulf 2 $seconds) -}}{{- end -}}
{{- $all := mulf (len .global.entrants) (add1 .race.repetitions) $run | addf (mulf 2 .race.timeouts.assembleSeconds) 900 -}}
{{- .global.peers.activeDeadlineSeconds | default $all | int64 -}}
{{- end -}}
