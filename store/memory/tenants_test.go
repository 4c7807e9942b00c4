package memory

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// Every table but those without a tenant (keyring, quotas) is known to EraseTenant: it has a case that names it.
func TestEraseTenantKnowsEveryTable(t *testing.T) {
	s := New()
	store := reflect.ValueOf(s).Elem()
	for i := range store.NumField() {
		field := store.Type().Field(i)
		if field.Name == "keyring" || field.Name == "quotas" || !strings.HasPrefix(field.Type.Name(), "table[") {
			continue
		}
		// A row whose key or value has "gone" wherever a text can stand.
		rows := store.Field(i).FieldByName("rows")
		key, value := reflect.New(rows.Type().Key()).Elem(), reflect.New(rows.Type().Elem()).Elem()
		setTexts(key)
		setTexts(value)
		filled := reflect.MakeMap(rows.Type())
		filled.SetMapIndex(key, value)
		table := reflect.NewAt(field.Type, store.Field(i).Addr().UnsafePointer()).Elem()
		reflect.NewAt(rows.Type(), table.FieldByName("rows").Addr().UnsafePointer()).Elem().Set(filled)
	}
	if _, err := s.EraseTenant(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	for i := range store.NumField() {
		field := store.Type().Field(i)
		if field.Name == "keyring" || field.Name == "quotas" || !strings.HasPrefix(field.Type.Name(), "table[") {
			continue
		}
		if n := store.Field(i).FieldByName("rows").Len(); n != 0 {
			t.Errorf("EraseTenant leaves rows of %s", field.Name)
		}
	}
}

// setTexts gives every text within v, exported or not, the value "gone".
func setTexts(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem().SetString("gone")
	case reflect.Struct:
		for i := range v.NumField() {
			if fmt.Sprint(v.Type()) != "time.Time" {
				setTexts(v.Field(i))
			}
		}
	}
}
