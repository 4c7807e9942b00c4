// Package all lists the adapters that enlace ships. Importing it links them all;
// a host that needs one imports that one.
package all

import (
	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/zapsign"
)

// Adapters returns one value of each adapter, for NewRegistry. The fake adapter is
// not among them.
func Adapters() []enlace.IntegrationAdapter {
	return []enlace.IntegrationAdapter{bitrix24.Adapter{}, zapsign.Adapter{},
		&rdstation.Marketing{}, rdstation.CRM{}, rdstation.CRMv1{}}
}
