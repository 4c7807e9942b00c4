package postgres_test
const partVariable="X"
var parts = map[string]func() error{}
