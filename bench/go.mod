module github.com/enlace-go/enlace/bench

go 1.26.0

require github.com/enlace-go/enlace v0.0.0

replace github.com/enlace-go/enlace => ../
