package admin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestWebhookPages: deliveries are listed and shown with their verdict, without
// secrets; they are given up, edited and replayed.
func TestWebhookPages(t *testing.T) {
	h := newHost(t, hostOptions{webhooks: enlace.WebhookConfig{PublicURL: "https://host.example/hooks"}})
	in := h.connected("CRM")
	h.get("webhooks").want(t, http.StatusOK, "No webhook has arrived yet")
	h.get("i/"+in.ID).want(t, http.StatusOK, "https://host.example/hooks/"+in.ID+"/webhook", "Register with the provider")
	target := "https://host.example/hooks/" + in.ID + "/webhook"
	w := httptest.NewRecorder()
	h.service.WebhookHandler().ServeHTTP(w, h.provider.Delivery(target, enlace.Event{Type: "contact.updated", Record: enlace.Record{Entity: "contacts", ID: "7"}}))
	if w.Code/100 != 2 {
		t.Fatalf("the delivery is answered %d %s", w.Code, w.Body)
	}
	list, _, err := h.service.Deliveries(t.Context(), enlace.DeliveryQuery{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	path := "webhooks/" + list[0].ID
	h.get("webhooks?state=received").want(t, http.StatusOK, "CRM", "signed", path)
	shown := h.get(path).want(t, http.StatusOK, "contact.updated", "contacts 7", "The signature proves")
	if secret := h.provider.WebhookSecret().Reveal(); strings.Contains(shown.body, secret) {
		t.Error("the page shows the secret")
	}
	h.post(path, url.Values{"do": {"replay"}}).want(t, http.StatusConflict)
	h.post(path, url.Values{"do": {"discard"}}).want(t, http.StatusOK, "given up")
	h.post(path, url.Values{"do": {"replay"}}).want(t, http.StatusOK, "Back in the queue.")
	h.post(path, url.Values{"do": {"discard"}}).want(t, http.StatusOK)
	h.get("").want(t, http.StatusOK, "one delivery was given up", "webhooks?state=dead")
	h.post("webhooks", url.Values{"state": {"dead"}}).want(t, http.StatusOK, "Back in the queue.")
	h.post("webhooks", url.Values{"state": {"done"}}).want(t, http.StatusUnprocessableEntity)
	h.post(path, url.Values{"do": {"nonsense"}}).want(t, http.StatusUnprocessableEntity)
	h.get("webhooks/none").want(t, http.StatusNotFound)
	h.post("i/"+in.ID+"/webhook", nil).want(t, http.StatusOK, "Webhook registered")
	h.access.Grants = admin.ReadOnly
	h.post(path, url.Values{"do": {"replay"}}).want(t, http.StatusForbidden)
}

// TestRunControls: runs are paused, taken up again and cancelled by hand; a run that
// has ended is left alone.
func TestRunControls(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	run, err := h.service.StartSync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	if err != nil {
		t.Fatal(err)
	}
	path := "runs/" + run.ID
	h.post(path+"/pause", nil).want(t, http.StatusOK, "paused", "Resume")
	h.post(path+"/resume", nil).want(t, http.StatusOK, "waiting")
	h.post(path+"/cancel", nil).want(t, http.StatusOK, "cancelled")
	h.post(path+"/cancel", nil).want(t, http.StatusConflict)
	h.get("i/"+in.ID+"/deletions").want(t, http.StatusOK, "Nothing waits for a decision")
	h.post("i/"+in.ID+"/deletions", url.Values{"do": {"approve"}, "entity": {"contacts"}}).want(t, http.StatusUnprocessableEntity)
}
