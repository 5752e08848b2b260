{{/* Egress rules that several parts share. */}}

{{- define "activation.toBroker" -}}
{{- with .Subcharts.rabbitmq -}}
- ports: [{port: {{ .Values.service.amqpPort }}}]
  to:
    - podSelector:
        matchLabels: {{- include "rabbitmq.selectorLabels" . | nindent 10 }}
{{- end }}
{{- end }}

{{- define "activation.toDatabase" -}}
{{- with .Subcharts.postgres -}}
- ports: [{port: {{ .Values.service.targetPort }}}]
  to:
    - podSelector:
        matchLabels: {{- include "postgres.selectorLabels" . | nindent 10 }}
{{- end }}
{{- end }}

{{- define "activation.toCollector" -}}
{{- with .Values.tracing.endpoint -}}
{{- $url := urlParse . -}}
{{- $usual := eq $url.scheme "https" | ternary "443" "80" -}}
- ports: [{port: {{ regexFind "[0-9]+$" $url.host | default $usual }}}]
  {{- with $.Values.tracing.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What is not of this release: (list context whether-something-needed-is-elsewhere). */}}
{{- define "activation.toElsewhere" -}}
{{- with (index . 0).Values.networkPolicy.extraEgress -}}
{{ toYaml . }}
{{- else -}}
{{- if index . 1 -}}
# To wherever that is; networkPolicy.extraEgress narrows it down.
- {}
{{- end }}
{{- end }}
{{- end }}
