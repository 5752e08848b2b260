{{/* Names, labels and image references. */}}

{{- define "activation.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Cut so that the longest suffix still makes a name of at most 63 characters. */}}
{{- define "activation.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ .Values.fullnameOverride | default $both | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What a Deployment selects its pods by; it can never be changed. (list context component) */}}
{{- define "activation.selectorLabels" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: {{ include "activation.name" $context }}
app.kubernetes.io/instance: {{ $context.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
A pod's labels, without those that would replace it at each release: (list context component), and
labels wanted besides. None of them takes the place of a selector's.
*/}}
{{- define "activation.podLabels" -}}
{{- $common := (index . 0).Values.commonLabels -}}
{{- $wanted := gt (len .) 2 | ternary (last .) dict -}}
{{- $own := dict "app.kubernetes.io/part-of" "activation" -}}
{{ merge (include "activation.selectorLabels" . | fromYaml) $wanted $common $own | toYaml }}
{{- end }}

{{/* (list context component) */}}
{{- define "activation.labels" -}}
{{- $context := index . 0 -}}
{{- $own := dict
  "app.kubernetes.io/version" ($context.Values.image.tag | default $context.Chart.AppVersion | trunc 63 | trimAll "-_.")
  "app.kubernetes.io/managed-by" $context.Release.Service
  "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{ merge (include "activation.podLabels" . | fromYaml) $own | toYaml }}
{{- end }}

{{/* An object's metadata: (list context component), and the name's end if it is not the component. */}}
{{- define "activation.metadata" -}}
{{- $end := last . -}}
name: {{ include "activation.fullname" (index . 0) }}-{{ $end }}
namespace: {{ (index . 0).Release.Namespace }}
labels: {{- include "activation.labels" (list (index . 0) (index . 1)) | nindent 2 }}
{{- end }}

{{/* (list context image) */}}
{{- define "activation.image" -}}
{{- $common := (index . 0).Values.image -}}
{{- $image := index . 1 -}}
{{- with $common.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $common.tag | default (index . 0).Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "activation.serviceAccountName" -}}
{{- with .Values.serviceAccount -}}
{{ .name | default (.create | ternary (include "activation.fullname" $) "default") }}
{{- end }}
{{- end }}

{{- define "activation.brokerSecret" -}}
{{ .Values.broker.existingSecret | default (printf "%s-broker" .Release.Name) }}
{{- end }}

{{- define "activation.databaseSecret" -}}
{{ .Values.database.existingSecret | default (printf "%s-database" .Release.Name) }}
{{- end }}

{{- define "activation.handlerUrl" -}}
{{ .Values.handler.enabled | ternary (printf "http://%s-handler:8080" (include "activation.fullname" .)) .Values.handler.url }}
{{- end }}

{{/* Where KEDA reads the queue. */}}
{{- define "activation.managementUrl" -}}
{{- if .Values.rabbitmq.enabled -}}
{{- $broker := .Subcharts.rabbitmq -}}
http://{{ include "rabbitmq.fullname" $broker }}.{{ .Release.Namespace }}.svc:{{ $broker.Values.service.managementPort }}/
{{- else -}}
{{ .Values.broker.managementUrl }}
{{- end }}
{{- end }}
