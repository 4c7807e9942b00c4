package bitrix24

import (
	"context"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
)

// AppInfo is what a portal says about the application and about itself (sheet 7).
type AppInfo struct {
	ID             ID     `json:"ID"`
	Code           string `json:"CODE"`
	Version        ID     `json:"VERSION"`
	Status         string `json:"STATUS"` // L local, F free, D demo, T trial, P paid; others may come
	Installed      bool   `json:"INSTALLED"`
	PaymentExpired string `json:"PAYMENT_EXPIRED"` // Y or N
	Days           ID     `json:"DAYS"`            // left, where there is an end
	License        string `json:"LICENSE"`
	LicenseFamily  string `json:"LICENSE_FAMILY"` // "ent" is Enterprise, whose limits are higher than those of the descriptor
}

// GetAppInfo calls app.info (sheet 7). It exists for applications only: a webhook
// gets ErrForbidden.
func GetAppInfo(ctx context.Context, c *enlace.Conn) (AppInfo, error) {
	var info AppInfo
	err := read(ctx, c, "app.info", map[string]any{}, &info)
	return info, err
}

// HasFeature says whether the portal's plan has a feature, by feature.get (sheet
// 6.6): "rest_offline_extended" for [ReserveOffline], "rest_auth_connector" for the
// setting "connector". Errors: those of any read.
func HasFeature(ctx context.Context, c *enlace.Conn, code string) (bool, error) {
	var feature struct {
		Value string `json:"value"`
	}
	err := read(ctx, c, "feature.get", map[string]any{"CODE": code}, &feature)
	return strings.EqualFold(feature.Value, "Y"), err
}

// HasLeads says whether the portal works with leads, by crm.settings.mode.get (sheet
// 5.1). Where it does not, a lead that is created turns into a deal at once and can no
// longer be found. Errors: those of any read.
func HasLeads(ctx context.Context, c *enlace.Conn) (bool, error) {
	var mode ID
	err := read(ctx, c, "crm.settings.mode.get", map[string]any{}, &mode)
	return err == nil && mode == 1, err
}

// connector is the setting "connector": what marks our writes, so that they do not
// come back to us as offline events (sheet 6.6).
func connector(c *enlace.Conn) string { return c.Setting("connector") }

// withConnector adds it to the parameters of a write or of a call about offline events.
func withConnector(c *enlace.Conn, params map[string]any) map[string]any {
	if name := connector(c); name != "" {
		params["auth_connector"] = name
	}
	return params
}

// writeCommand is a write of crm.item.*.
func (k kind) writeCommand(c *enlace.Conn, method string, more map[string]any, repeatable bool) command {
	return command{method: method, params: withConnector(c, k.params(more)), writes: true, repeatable: repeatable}
}

func number(id ID) string { return strconv.FormatInt(int64(id), 10) }
