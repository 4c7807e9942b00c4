package all_test

import (
	"fmt"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/all"
)

func ExampleAdapters() {
	registry := enlace.NewRegistry(all.Adapters()...)
	for name, adapter := range registry.All() {
		fmt.Println(name, "-", adapter.Describe().Title)
	}
	// Output:
	// bitrix24 - Bitrix24
	// rdstation - RD Station Marketing
	// rdstation_crm - RD Station CRM
	// rdstation_crm_v1 - RD Station CRM (user token)
	// zapsign - ZapSign
}
