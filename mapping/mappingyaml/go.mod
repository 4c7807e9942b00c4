module github.com/enlace-go/enlace/mapping/mappingyaml

go 1.26.0

require (
	github.com/enlace-go/enlace v0.0.0
	go.yaml.in/yaml/v3 v3.0.6
)

replace github.com/enlace-go/enlace => ../../
