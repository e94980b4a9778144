{{/*
common.amount: a size, rate or amount of CPU as a bare number, by the grammar of swarmrace.units.
All in whole numbers, so exact.

Takes a dict: value (number or text), node (amount: size, rate or cpu; limits ge, gt, le), path.
Returns JSON: {"value": N} in bytes, bytes per second or thousandths of a core, or {"fault": "…"}.
*/}}
{{- define "common.amount" -}}
{{- $whole := true -}}{{- $huge := false -}}{{- $n := int64 0 -}}
{{- if eq .node.amount "cpu" -}}
  {{- if kindIs "string" .value -}}
    {{- $n = trimSuffix "m" .value | include "common.digits" | int64 -}}
    {{- if not (hasSuffix "m" .value) -}}{{- $n = mul $n 1000 -}}{{- end -}}
  {{- else -}}
    {{- $n = mulf .value 1000 | floor | int64 -}}
  {{- end -}}
{{- else if kindIs "string" .value -}}
  {{- $number := regexFind "^[0-9.]+" .value -}}
  {{- $unit := trimPrefix $number .value | trim | trimSuffix "/s" -}}
  {{- $eighths := ternary 8 1 (hasSuffix "bit" $unit) -}}
  {{- $scales := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
  {{- $scale := index $scales ($unit | trimSuffix "bit" | trimSuffix "B") -}}
  {{- $parts := splitList "." $number -}}
  {{- $int := index $parts 0 | include "common.digits" | int64 -}}
  {{- $low := int64 0 -}}
  {{- if gt (len $parts) 1 -}}
    {{- $ten := 1 -}}{{- range until (len (index $parts 1)) -}}{{- $ten = mul $ten 10 -}}{{- end -}}
    {{- $product := mul (index $parts 1 | include "common.digits" | int64) $scale -}}{{/* below 2^60 */}}
    {{- $whole = eq (mod $product $ten) 0 -}}
    {{- $low = div $product $ten -}}
  {{- end -}}
  {{- $remainder := mod (add (mul (mod $int 8) (mod $scale 8)) $low) $eighths -}}
  {{- $whole = and $whole (eq $remainder 0) -}}
  {{- $huge = gt (mulf $int $scale) 8e18 -}}
  {{- if not $huge -}}{{- $n = div (add (mul $int $scale) $low) $eighths -}}{{- end -}}
{{- else -}}
  {{- $n = int64 .value -}}
{{- end -}}
{{- $found := ternary (printf "'%v'" .value) (printf "%d" $n) (kindIs "string" .value) -}}
{{- $fault := "" -}}
{{- if not $whole -}}
  {{- $fault = printf "found %s, which is not a whole number of bytes" $found -}}
{{- else if and (hasKey .node "le") (or $huge (gt $n (int64 .node.le))) -}}
  {{- $fault = printf "found %s, expected less than or equal to %d" $found (int64 .node.le) -}}
{{- else if and (hasKey .node "ge") (lt $n (int64 .node.ge)) -}}
  {{- $fault = printf "found %s, expected greater than or equal to %d" $found (int64 .node.ge) -}}
{{- else if and (hasKey .node "gt") (le $n (int64 .node.gt)) -}}
  {{- $fault = printf "found %s, expected greater than %d" $found (int64 .node.gt) -}}
{{- end -}}
{{- if $fault -}}
  {{- dict "fault" (printf "%s: %s" .path $fault) | toJson -}}
{{- else -}}
  {{- dict "value" $n | toJson -}}
{{- end -}}
{{- end -}}

{{/* common.digits: digits without leading zeros, which int64 would take for octal. */}}
{{- define "common.digits" -}}
{{- regexReplaceAll "^0+" . "" | default "0" -}}
{{- end -}}

{{/*
common.walk: a value completed by the model's defaults, its amounts as bare numbers.

Takes a dict: value, node (of common.model), path.
Returns JSON: {"value": …, "faults": […]}.
*/}}
{{- define "common.walk" -}}
{{- $faults := list -}}{{- $value := .value -}}
{{- if and (hasKey .node "keys") (kindIs "map" .value) -}}
  {{- $value = dict -}}
  {{- range $key, $node := .node.keys -}}
    {{- $given := get $.value $key -}}
    {{- if and (hasKey $.value $key) (not (kindIs "invalid" $given)) -}}
      {{- $walked := include "common.walk" (dict "value" $given "node" $node "path" (printf "%s.%s" $.path $key)) | fromJson -}}
      {{- $_ := set $value $key $walked.value -}}
      {{- $faults = concat $faults ($walked.faults | default list) -}}
    {{- else -}}
      {{- $_ := set $value $key $node.default -}}
    {{- end -}}
  {{- end -}}
{{- else if and (hasKey .node "items") (kindIs "slice" .value) -}}
  {{- $value = list -}}
  {{- range $number, $item := .value -}}
    {{- $walked := include "common.walk" (dict "value" $item "node" $.node.items "path" (printf "%s.%d" $.path $number)) | fromJson -}}
    {{- $value = append $value $walked.value -}}
    {{- $faults = concat $faults ($walked.faults | default list) -}}
  {{- end -}}
{{- else if hasKey .node "amount" -}}
  {{- $amount := include "common.amount" . | fromJson -}}
  {{- if $amount.fault -}}{{- $faults = append $faults $amount.fault -}}{{- end -}}
  {{- $value = $amount.value -}}
{{- end -}}
{{- dict "value" $value "faults" $faults | toJson -}}
{{- end -}}
