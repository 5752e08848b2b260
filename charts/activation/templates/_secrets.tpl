{{/* Making passwords once, and what is made of them. */}}

{{/* What a Secret holds already, decoded, as YAML: (list context name). */}}
{{- define "activation.kept" -}}
{{- $kept := dict -}}
{{- range $key, $value := (lookup "v1" "Secret" (index . 0).Release.Namespace (index . 1)).data -}}
{{- $_ := set $kept $key (b64dec $value) -}}
{{- end -}}
{{ toYaml $kept }}
{{- end }}

{{/*
A password's hash as RabbitMQ keeps it: base64(salt + sha256(salt + password)), four bytes of salt.
https://www.rabbitmq.com/docs/passwords. Templates know no bytes, so the base64 is made of the
hexadecimal digits, three at a time: 36 bytes are 24 times three digits, with nothing left over.
*/}}
{{- define "activation.brokerHash" -}}
{{- $alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" -}}
{{- $salt := sha256sum . | trunc 4 -}}
{{- $digits := print (printf "%x" $salt) (sha256sum (print $salt .)) -}}
{{- $values := dict -}}
{{- range $value, $digit := splitList "" "0123456789abcdef" }}{{ $_ := set $values $digit $value }}{{ end -}}
{{- range $at := untilStep 0 72 3 -}}
{{- $first := get $values (substr $at (add1 $at | int) $digits) -}}
{{- $second := get $values (substr (add1 $at | int) (add $at 2 | int) $digits) -}}
{{- $third := get $values (substr (add $at 2 | int) (add $at 3 | int) $digits) -}}
{{- $high := add (mul $first 4) (div $second 4) | int -}}
{{- $low := add (mul (mod $second 4) 16) $third | int -}}
{{- substr $high (add1 $high | int) $alphabet }}{{ substr $low (add1 $low | int) $alphabet -}}
{{- end -}}
{{- end }}

{{/* RabbitMQ's users, each with no more rights than it needs: (list context passwords-by-user). */}}
{{- define "activation.brokerDefinitions" -}}
{{- $vhost := (index . 0).Values.broker.vhost -}}
{{- $users := list -}}
{{- $permissions := list -}}
{{- $tags := dict "activation" (list) "activation-monitor" (list "monitoring") -}}
{{- range $name, $password := index . 1 -}}
{{- $tag := hasKey $tags $name | ternary (get $tags $name) (list "administrator") -}}
{{- $hash := include "activation.brokerHash" $password -}}
{{- $users = append $users (dict "name" $name "password_hash" $hash "hashing_algorithm" "rabbit_password_hashing_sha256" "tags" $tag "limits" dict) -}}
{{- $right := eq $name "activation-monitor" | ternary "^$" ".*" -}}
{{- $permissions = append $permissions (dict "user" $name "vhost" $vhost "configure" $right "write" $right "read" $right) -}}
{{- end -}}
{{ dict "users" $users "vhosts" (list (dict "name" $vhost)) "permissions" $permissions | toPrettyJson }}
{{- end }}
