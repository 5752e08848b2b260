{{/* What the pods of all parts have in common. */}}

{{/* The beginning of a pod's spec: (list context part). Pod Security "restricted". */}}
{{- define "activation.pod" -}}
{{- $context := index . 0 -}}
{{- $part := index . 1 -}}
serviceAccountName: {{ include "activation.serviceAccountName" $context }}
automountServiceAccountToken: false
# A Service's variables would look like our settings: ACTIVATION_HANDLER_PORT and the like.
enableServiceLinks: false
{{- with $context.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $part $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The beginning of a container: (list context part). */}}
{{- define "activation.container" -}}
{{- $context := index . 0 -}}
{{- $part := index . 1 -}}
image: {{ include "activation.image" (list $context $part.image) | quote }}
imagePullPolicy: {{ $context.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ not $context.Values.dev.reload }}
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml $part.resources | nindent 2 }}
{{- end }}

{{/* A pod's labels and annotations: (list context component part). */}}
{{- define "activation.podMetadata" -}}
{{- $context := index . 0 -}}
{{- $part := index . 2 -}}
labels: {{- include "activation.podLabels" (list $context (index . 1) $part.podLabels) | nindent 2 }}
annotations:
  # A change of the settings makes new pods.
  checksum/config: {{ include "activation.settings" . | sha256sum }}
  {{- with $part.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{/* The probes of a container: (list context port). */}}
{{- define "activation.probes" -}}
{{- $port := index . 1 -}}
{{- if not (index . 0).Values.dev.reload -}}
# Gateway and worker open their port once the database and its schema are there.
startupProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 2
  failureThreshold: 300
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 10
  failureThreshold: 6
  timeoutSeconds: 5
{{ end -}}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 5
  failureThreshold: 3
  timeoutSeconds: 5
{{- end }}

{{/* Evenly over nodes and zones, as well as it can be done: (list context component part). */}}
{{- define "activation.spread" -}}
topologySpreadConstraints:
{{- with (index . 2).topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- $selector := include "activation.selectorLabels" (list (index . 0) (index . 1)) }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end }}

{{/* The addresses that hold passwords. */}}
{{- define "activation.secretEnv" -}}
- name: ACTIVATION_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ include "activation.databaseSecret" . }}, key: database-url}}
- name: ACTIVATION_AMQP_URL
  valueFrom: {secretKeyRef: {name: {{ include "activation.brokerSecret" . }}, key: amqp-url}}
{{- end }}

{{/* How a program learns of authorities of the user's (OpenSSL, "X509_get_default_cert_file_env"). */}}
{{- define "activation.authorityEnv" -}}
{{- if .Values.certificateAuthorities.existingConfigMap }}
- name: SSL_CERT_FILE
  value: /etc/activation/certificate-authorities/ca.crt
{{- end }}
{{- end }}

{{/* Where a container finds what is given: (list context (dict name secret …)). */}}
{{- define "activation.volumeMounts" -}}
{{- $authorities := (index . 0).Values.certificateAuthorities.existingConfigMap }}
{{- $secrets := index . 1 }}
{{- if or $authorities (compact (values $secrets)) }}
volumeMounts:
  # The folder and not the file: a file alone would never change.
  {{- range $name, $secret := $secrets }}{{ if $secret }}
  - {name: {{ $name }}, mountPath: /etc/activation/{{ $name }}, readOnly: true}
  {{- end }}{{ end }}
  {{- if $authorities }}
  - {name: certificate-authorities, mountPath: /etc/activation/certificate-authorities, readOnly: true}
  {{- end }}
{{- end }}
{{- end }}

{{/* The volumes of these. */}}
{{- define "activation.volumes" -}}
{{- $authorities := (index . 0).Values.certificateAuthorities.existingConfigMap }}
{{- $secrets := index . 1 }}
{{- if or $authorities (compact (values $secrets)) }}
volumes:
  {{- range $name, $secret := $secrets }}{{ if $secret }}
  - name: {{ $name }}
    secret: {secretName: {{ $secret }}}
  {{- end }}{{ end }}
  {{- with $authorities }}
  - name: certificate-authorities
    configMap: {name: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}
