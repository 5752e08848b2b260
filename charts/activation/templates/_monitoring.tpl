{{/* Metadata with labels of one's own that others look for: (list context component name-end labels). */}}
{{- define "activation.foundMetadata" -}}
{{- $metadata := include "activation.metadata" (list (index . 0) (index . 1) (index . 2)) | fromYaml -}}
{{ merge (dict "labels" (merge $metadata.labels (index . 3))) $metadata | toYaml }}
{{- end }}

{{/* The name under which rules and dashboards look for a part. */}}
{{- define "activation.job" -}}
- {targetLabel: job, replacement: activation-{{ . }}}
{{- end }}
