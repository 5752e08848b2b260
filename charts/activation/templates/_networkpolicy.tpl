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
