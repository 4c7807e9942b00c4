package sqlstore

import "testing"

func TestStatementNumbersParameters(t *testing.T) {
	numbered := Dialect{TablePrefix: "app.", Now: "now()", Numbered: true, RowLocks: true}
	for statement, want := range map[string]string{
		"SELECT 1": "SELECT 1",
		"SELECT a FROM enlace.b WHERE c = ? AND d > ? {for_update}": "SELECT a FROM app.b WHERE c = $1 AND d > $2 FOR UPDATE",
		"INSERT INTO enlace.b VALUES " + Values(2, 2, 3, ", {now}"): "INSERT INTO app.b VALUES ($1, $2, $3, $4, $5, now()), ($1, $2, $6, $7, $8, now())",
		Values(1, 0, 2, ""):             "($1, $2)",
		"?1 ? ?2 ?12 ?":                 "$1 $2 $2 $12 $13",
		"UPDATE enlace.b SET a = ? - 1": "UPDATE app.b SET a = $1 - 1",
	} {
		if got := numbered.Statement(statement); got != want {
			t.Errorf("%s became %s, want %s", statement, got, want)
		}
	}
	plain := Dialect{TablePrefix: "enlace_", Now: "now"}
	if got := plain.Statement("INSERT INTO enlace.b VALUES " + Values(2, 1, 1, ", {now}")); got != "INSERT INTO enlace_b VALUES (?1, ?, now), (?1, ?, now)" {
		t.Error(got)
	}
}
