module github.com/enlace-go/enlace/examples

go 1.26.0

require (
	github.com/enlace-go/enlace v0.0.0
	github.com/enlace-go/enlace/store/sqlite v0.0.0
)

replace (
	github.com/enlace-go/enlace => ../
	github.com/enlace-go/enlace/store/sqlite => ../store/sqlite
)
