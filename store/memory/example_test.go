package memory_test

import (
	"context"
	"fmt"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

func ExampleNew() {
	ctx := context.Background()
	store := memory.New()

	ref := enlace.Ref{Tenant: "acme", ID: "crm"}
	if err := store.CreateIntegration(ctx, enlace.Integration{Ref: ref, Provider: "bitrix24", Name: "Sales"}); err != nil {
		fmt.Println(err)
		return
	}
	in, err := store.Integration(ctx, ref)
	fmt.Println(in.Name, in.Version, err)
	// Output: Sales 1 <nil>
}
