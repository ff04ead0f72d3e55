{{/*
Names: the release's name before the component's, 52 characters at most. Kubernetes labels the pods of
a StatefulSet with its name and 11 more, and a label holds 63: a longer name never gets a pod.
*/}}
{{- define "todo.name" -}}
{{ .root.Release.Name | trunc 43 | trimSuffix "-" }}-{{ .component }}
{{- end }}

{{- define "todo.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "todo.labels" -}}
{{ include "todo.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "todo.config" -}}
{{ include "todo.name" (dict "root" . "component" "config") }}
{{- end }}

{{- define "todo.secret" -}}
{{ .Values.secrets.existingSecret | default (include "todo.name" (dict "root" . "component" "secrets")) }}
{{- end }}

{{/* "true" when the Secret holds something under this key. */}}
{{- define "todo.given" -}}
{{- if .root.Values.secrets.existingSecret -}}
{{- if has .key .root.Values.secrets.present }}true{{ end -}}
{{- else if get .root.Values.secrets .key -}}true{{- end -}}
{{- end }}

{{/* "true" when the database is outside: the Secret has a DATABASE_URL. */}}
{{- define "todo.externalDatabase" -}}
{{- include "todo.given" (dict "root" . "key" "DATABASE_URL") -}}
{{- end }}

{{/* The ConfigMap's content, in one place for the object and for the checksums. */}}
{{- define "todo.configData" -}}
{{- $backend := printf "http://%s:%v" (include "todo.name" (dict "root" . "component" "backend")) .Values.backend.service.port -}}
{{- $frontend := printf "http://%s:%v" (include "todo.name" (dict "root" . "component" "frontend")) .Values.frontend.service.port -}}
{{- $data := deepCopy .Values.config -}}
{{- $_ := set $data "BACKEND_URL" (.Values.config.BACKEND_URL | default $backend) -}}
{{- $_ := set $data "BETTER_AUTH_URL" (.Values.config.BETTER_AUTH_URL | default $frontend) -}}
{{- toYaml $data -}}
{{- end }}

{{/* Variables from keys of the ConfigMap. */}}
{{- define "todo.configEnv" -}}
{{- range .keys }}
- name: {{ . }}
  valueFrom: { configMapKeyRef: { name: {{ include "todo.config" $.root }}, key: {{ . }} } }
{{- end }}
{{- end }}

{{/* Variables from single keys of the Secret, so that one sees who reads what. */}}
{{- define "todo.secretEnv" -}}
{{- range .keys }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ include "todo.secret" $.root }}, key: {{ . }} } }
{{- end }}
{{- end }}

{{/* Where people open the application: the first of CORS_ORIGINS. */}}
{{- define "todo.origin" -}}
{{ first (splitList "," .Values.config.CORS_ORIGINS) | trim | required "config.CORS_ORIGINS names no origin: the first is where people open the application" }}
{{- end }}

{{/* Where the database in the cluster is; nothing when there is none. */}}
{{- define "todo.databaseEnv" -}}
{{- if not (include "todo.externalDatabase" .) }}
- { name: POSTGRES_HOST, value: {{ include "todo.name" (dict "root" . "component" "postgres") }} }
- { name: POSTGRES_USER, value: {{ .Values.postgres.user | quote }} }
- { name: POSTGRES_DB, value: {{ .Values.postgres.database | quote }} }
{{- end }}
{{- end }}

{{/*
Checksums over just the keys that a container reads: a change of another key replaces no pod.
A Secret from outside has none: who changes it also knows which pods read what changed.
*/}}
{{- define "todo.checksums" -}}
{{- $config := include "todo.configData" .root | fromYaml -}}
{{- $read := dict -}}
{{- range .config }}{{ $_ := set $read . (get $config .) }}{{ end -}}
checksum/config: {{ $read | toJson | sha256sum }}
{{- include "todo.secretsChecksum" . }}
{{- end }}

{{/*
Whoever may read pods reads this, and should not find a weak password by trying: scrypt takes its time
for each guess, and what was tried for one release says nothing about another.
*/}}
{{- define "todo.secretsChecksum" -}}
{{- if not .root.Values.secrets.existingSecret }}
{{- $read := dict -}}
{{- range $key := .secrets }}{{ with get $.root.Values.secrets $key }}{{ $_ := set $read $key . }}{{ end }}{{ end }}
{{- $whose := printf "%s/%s" .root.Release.Namespace .root.Release.Name }}
checksum/secrets: {{ if $read }}{{ derivePassword 1 "maximum" ($read | toJson) $whose "checksum" | sha256sum }}{{ else }}none{{ end }}
{{- end }}
{{- end }}

{{/* The database's key of the Secret. */}}
{{- define "todo.databaseKey" -}}
{{ if include "todo.externalDatabase" . }}DATABASE_URL{{ else }}POSTGRES_PASSWORD{{ end }}
{{- end }}

{{- define "todo.podSecurity" -}}
runAsNonRoot: true
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "todo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
