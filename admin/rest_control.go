package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// controlOperations switch things on and off, and make the provider deliver here.
func (api *api) controlOperations() {
	api.flagOperations()
	api.maintenanceOperations()
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/integrations/{id}/check", OperationID: "checkHealth", Summary: "Check the health of an integration now", Tags: []string{"health"}},
		func(ctx context.Context, c *call, in *idInput) (*struct{ Body healthBody }, error) {
			h, err := api.service.CheckHealth(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			return &struct{ Body healthBody }{healthBodyOf(translator(c.Language), h)}, nil
		})
	type registerInput struct {
		ID     string `path:"id" maxLength:"64"`
		Rotate bool   `query:"rotate" doc:"Replace what proves the deliveries"`
	}
	operation(api, GrantConnect, huma.Operation{Method: "POST", Path: "/integrations/{id}/webhook", OperationID: "registerWebhook", Summary: "Have the provider deliver here", Tags: []string{"webhooks"},
		DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *registerInput) (*struct{}, error) {
			return nil, api.service.EnsureWebhook(ctx, c.integrationRef(in.ID), enlace.WebhookOptions{Rotate: in.Rotate})
		})
	operation(api, GrantConnect, huma.Operation{Method: "DELETE", Path: "/integrations/{id}/webhook", OperationID: "removeWebhook", Summary: "Have the provider deliver here no more", Tags: []string{"webhooks"},
		DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			return nil, api.service.RemoveWebhook(ctx, c.integrationRef(in.ID))
		})
}

type flagRuleBody struct {
	Flag          string     `json:"flag"`
	Provider      string     `json:"provider,omitempty" maxLength:"64" doc:"Only of this provider"`
	IntegrationID string     `json:"integrationId,omitempty" maxLength:"64" doc:"Only of this integration"`
	Entity        string     `json:"entity,omitempty" maxLength:"64" doc:"Only of this entity"`
	Enabled       bool       `json:"enabled"`
	Reason        string     `json:"reason,omitempty" maxLength:"300"`
	SetBy         string     `json:"setBy,omitempty" readOnly:"true"`
	UpdatedAt     *time.Time `json:"updatedAt,omitempty" readOnly:"true"`
}

func (api *api) flagOperations() {
	tags := []string{"flags"}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/flags", OperationID: "listFlags", Summary: "The rules that are set at run time", Tags: tags},
		func(ctx context.Context, c *call, _ *struct{ paging.Selection }) ([]flagRuleBody, string, error) {
			rules, err := api.service.FlagRules(ctx, c.access.Tenant)
			if err != nil {
				return nil, "", err
			}
			var bodies []flagRuleBody
			for _, r := range rules {
				if r.Target.Tenant == c.access.Tenant {
					bodies = append(bodies, flagRuleBody{string(r.Flag), r.Target.Provider, r.Target.Integration, r.Target.Entity, r.Enabled, r.Reason, r.SetBy, optionalTime(r.UpdatedAt)})
				}
			}
			return bodies, "", nil
		})
	operation(api, GrantFlags, huma.Operation{Method: "PUT", Path: "/flags", OperationID: "setFlag", Summary: "Set a rule for the caller's tenant", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *struct{ Body flagRuleBody }) (*struct{}, error) {
			target := enlace.FlagTarget{Tenant: c.access.Tenant, Provider: in.Body.Provider, Integration: in.Body.IntegrationID, Entity: in.Body.Entity}
			return nil, api.service.SetFlag(ctx, enlace.Flag(in.Body.Flag), target, in.Body.Enabled, in.Body.Reason)
		})
	type clearInput struct {
		Flag        string `query:"flag" maxLength:"64" required:"true"`
		Provider    string `query:"provider" maxLength:"64"`
		Integration string `query:"integration" maxLength:"64"`
		Entity      string `query:"entity" maxLength:"64"`
	}
	operation(api, GrantFlags, huma.Operation{Method: "DELETE", Path: "/flags", OperationID: "clearFlag", Summary: "Remove a rule", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *clearInput) (*struct{}, error) {
			target := enlace.FlagTarget{Tenant: c.access.Tenant, Provider: in.Provider, Integration: in.Integration, Entity: in.Entity}
			return nil, api.service.ClearFlag(ctx, enlace.Flag(in.Flag), target)
		})
}

type maintenanceBody struct {
	ID            string    `json:"id" readOnly:"true"`
	Provider      string    `json:"provider,omitempty" maxLength:"64"`
	IntegrationID string    `json:"integrationId,omitempty" maxLength:"64"`
	From          time.Time `json:"from"`
	Until         time.Time `json:"until"`
	Reason        string    `json:"reason,omitempty" maxLength:"300"`
}

func (api *api) maintenanceOperations() {
	tags := []string{"health"}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/maintenance", OperationID: "listMaintenance", Summary: "Windows in which nobody is alerted", Tags: tags},
		func(ctx context.Context, c *call, _ *struct{ paging.Selection }) ([]maintenanceBody, string, error) {
			windows, err := api.service.Maintenances(ctx, c.access.Tenant)
			if err != nil {
				return nil, "", err
			}
			var bodies []maintenanceBody
			for _, m := range windows {
				bodies = append(bodies, maintenanceBody{m.ID, m.Provider, m.Integration, m.From.UTC(), m.Until.UTC(), m.Reason})
			}
			return bodies, "", nil
		})
	type openInput struct {
		Body struct {
			Provider      string    `json:"provider,omitempty" maxLength:"64"`
			IntegrationID string    `json:"integrationId,omitempty" maxLength:"64"`
			From          time.Time `json:"from"`
			Until         time.Time `json:"until"`
			Reason        string    `json:"reason,omitempty" maxLength:"300"`
		}
	}
	operation(api, GrantEnable, huma.Operation{Method: "POST", Path: "/maintenance", OperationID: "openMaintenance", Summary: "Open a window in which nobody is alerted", Tags: tags,
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, c *call, in *openInput) (*struct{ Body maintenanceBody }, error) {
			b := in.Body
			m, err := api.service.SetMaintenance(ctx, enlace.Maintenance{Tenant: c.access.Tenant, Provider: b.Provider, Integration: b.IntegrationID, From: b.From, Until: b.Until, Reason: b.Reason})
			if err != nil {
				return nil, err
			}
			return &struct{ Body maintenanceBody }{maintenanceBody{m.ID, m.Provider, m.Integration, m.From.UTC(), m.Until.UTC(), m.Reason}}, nil
		})
	operation(api, GrantEnable, huma.Operation{Method: "DELETE", Path: "/maintenance/{id}", OperationID: "endMaintenance", Summary: "End a window", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			return nil, api.service.EndMaintenance(ctx, c.access.Tenant, in.ID)
		})
}
