package rdstationtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// eventType is what a type demands of its payload (sheet 2.5).
type eventType struct {
	name     string
	required []string
	minItems int  // of total_items
	order    bool // e-commerce with prices: currency, price, total_items, line_items
}

var eventTypes = []eventType{
	{name: "CONVERSION", required: []string{"conversion_identifier", "email"}},
	{name: "OPPORTUNITY", required: []string{"email", "funnel_name"}},
	{name: "SALE", required: []string{"email", "funnel_name"}},
	{name: "OPPORTUNITY_LOST", required: []string{"email", "funnel_name"}},
	{name: "CHAT_STARTED", required: []string{"email", "chat_subject", "cf_chat_status"}},
	{name: "CHAT_FINISHED", required: []string{"email", "chat_subject", "cf_chat_status", "cf_chat_transcript_message"}},
	{name: "CALL_FINISHED", required: []string{"email", "call_from_number", "call_status"}},
	{name: "MEDIA_PLAYBACK_STARTED", required: []string{"email", "media_type", "media_identifier"}},
	{name: "MEDIA_PLAYBACK_STOPPED", required: []string{"email", "media_type", "media_identifier"}},
	{name: "ECOMMERCE_CHECKOUT_STARTED", required: []string{"email", "identifier", "checkout_url", "currency", "price", "total_items"}, minItems: 1, order: true},
	{name: "ECOMMERCE_CART_ABANDONED", required: []string{"email", "identifier", "checkout_url", "currency", "price", "total_items"}, minItems: 1, order: true},
	{name: "ECOMMERCE_ORDER_PLACED", required: []string{"email", "identifier", "currency", "price", "total_items"}, order: true},
	{name: "ECOMMERCE_ORDER_PAID", required: []string{"email", "identifier", "currency", "price", "total_items"}, order: true},
	{name: "ECOMMERCE_ORDER_CANCELLED", required: []string{"email", "identifier"}},
	{name: "ECOMMERCE_ORDER_REFUNDED", required: []string{"email", "identifier"}},
	{name: "ECOMMERCE_ORDER_FULFILLED", required: []string{"email", "identifier"}},
	{name: "ECOMMERCE_SHIPMENT_DELIVERED", required: []string{"email", "identifier", "order_identifier"}},
}

var (
	currencies    = []string{"ARS", "BRL", "CAD", "CLP", "COP", "EUR", "MXN", "PEN", "USD", "UYU"}
	cancelReasons = []string{"customer", "declined", "fraud", "inventory", "other"}
	// plainKeys are the keys of a CONVERSION that are neither of the contact nor dropped.
	plainKeys = []string{"phone", "company_site", "company_address", "client_tracking_id", "traffic_source", "traffic_medium", "traffic_campaign", "traffic_value"}
	// textKeys must be strings in every event.
	textKeys = append([]string{
		"email", "phone", "conversion_identifier", "funnel_name", "reason", "identifier", "company_name", "checkout_url", "order_url",
		"call_from_number", "call_status", "call_duration", "chat_subject", "media_type", "media_identifier", "cancel_reason",
		"order_identifier", "company_site", "company_address", "client_tracking_id", "traffic_source", "traffic_medium",
		"traffic_campaign", "traffic_value",
	}, profileKeys...)
)

func eventTypeNames() []string {
	names := []string{}
	for _, t := range eventTypes {
		names = append(names, t.name)
	}
	return names
}

// eventProblems collects shape B.
type eventProblems []object

func (p *eventProblems) null(path string) {
	*p = append(*p, pathProblem("CANNOT_BE_NULL", "Cannot be null.", path))
}

func (p *eventProblems) dataType(path, kind string) {
	*p = append(*p, object{"error_type": "INVALID_DATA_TYPE", "error_message": "Must be of type '" + kind + "'.",
		"validation_rules": object{"data_type": kind}, "path": path})
}

func (p *eventProblems) option(path string, valid []string) {
	*p = append(*p, object{"error_type": "INVALID_OPTION", "error_message": "Must be one of the valid options.",
		"validation_rules": object{"valid_options": valid}, "path": path})
}

func (p *eventProblems) invalid(path string) {
	*p = append(*p, pathProblem("INVALID", "It is not valid", path))
}

// unknownType is told in its own shape (F34).
func (a *Account) unknownType(path string, valid []string) reply {
	problems := eventProblems{}
	problems.option(path+".event_type", valid)
	if a.quirks.WrappedEventErrors {
		return listed(http.StatusBadRequest, problems...)
	}
	return reply{status: http.StatusBadRequest, body: problems}
}

// checkEvent checks one event; path is where it is in the body.
func (a *Account) checkEvent(body object, path string) *reply {
	problems := eventProblems{}
	i := slices.IndexFunc(eventTypes, func(t eventType) bool { return t.name == body["event_type"] })
	payload, isObject := body["payload"].(object)
	switch {
	case body["event_type"] == nil:
		problems.null(path + ".event_type")
	case i < 0:
		refused := a.unknownType(path, eventTypeNames())
		return &refused
	case body["event_family"] == nil:
		problems.null(path + ".event_family")
	case body["event_family"] != "CDP":
		problems.option(path+".event_family", []string{"CDP"})
	case body["payload"] == nil:
		problems.null(path + ".payload")
	case !isObject:
		problems.dataType(path+".payload", "OBJECT")
	default:
		a.checkPayload(eventTypes[i], payload, path+".payload.", &problems)
	}
	if len(problems) == 0 {
		return nil
	}
	refused := listed(http.StatusBadRequest, problems...)
	return &refused
}

func (a *Account) checkPayload(t eventType, payload object, path string, problems *eventProblems) {
	for _, key := range t.required {
		if key == "email" && a.quirks.PhoneInEvents && text(payload["phone"]) != "" {
			continue
		}
		if empty(payload[key]) {
			problems.null(path + key)
		}
	}
	for _, key := range textKeys {
		if _, isText := payload[key].(string); payload[key] != nil && !isText {
			problems.dataType(path+key, "STRING")
		}
	}
	if email := text(payload["email"]); email != "" && !emailPattern.MatchString(a.email(email)) {
		*problems = append(*problems, pathProblem("INVALID_EMAIL_FORMAT", "email has an invalid format", path+"email"))
	}
	if _, isArray := stringArray(payload["tags"]); payload["tags"] != nil && !isArray {
		problems.dataType(path+"tags", "SET")
	}
	if _, isBool := payload["available_for_mailing"].(bool); payload["available_for_mailing"] != nil && !isBool {
		problems.dataType(path+"available_for_mailing", "BOOLEAN")
	}
	if bases := payload["legal_bases"]; bases != nil {
		if wrong := (fieldErrors{}); checkLegalBases(bases, wrong) != nil && len(wrong) > 0 || !isList(bases) {
			problems.invalid(path + "legal_bases")
		}
	}
	if name := payload["funnel_name"]; name != nil && name != "default" {
		problems.option(path+"funnel_name", []string{"default"})
	}
	if reason := payload["cancel_reason"]; t.name == "ECOMMERCE_ORDER_CANCELLED" && reason != nil && !slices.Contains(cancelReasons, text(reason)) {
		problems.option(path+"cancel_reason", cancelReasons)
	}
	if _, isNumber := number(payload["value"]); t.name == "SALE" && payload["value"] != nil && !isNumber {
		problems.dataType(path+"value", "NUMBER")
	}
	if t.order {
		checkOrder(t, payload, path, problems)
	}
}

func isList(value any) bool {
	_, isArray := value.([]any)
	return isArray
}

// checkOrder checks the prices and items of e-commerce.
func checkOrder(t eventType, payload object, path string, problems *eventProblems) {
	if currency := payload["currency"]; currency != nil && !slices.Contains(currencies, text(currency)) {
		problems.option(path+"currency", currencies)
	}
	if _, isNumber := payload["price"].(json.Number); payload["price"] != nil && !isNumber {
		problems.dataType(path+"price", "NUMBER")
	}
	if items := payload["total_items"]; items != nil && numberOr(items, -1) < float64(t.minItems) {
		problems.invalid(path + "total_items")
	}
	if methods, _ := payload["payment_methods"].([]any); len(methods) > 5 {
		problems.invalid(path + "payment_methods")
	}
	if payload["line_items"] == nil {
		return
	}
	items, isArray := payload["line_items"].([]any)
	if !isArray || len(items) > 20 {
		problems.invalid(path + "line_items")
		return
	}
	for i, item := range items {
		line, _ := item.(object)
		checkLine(line, fmt.Sprintf("%sline_items[%d].", path, i), problems)
	}
}

func checkLine(line object, path string, problems *eventProblems) {
	for key, longest := range map[string]int{"product_id": 150, "product_title": 255} {
		if s := text(line[key]); strings.TrimSpace(s) == "" {
			problems.null(path + key)
		} else if len([]rune(s)) > longest {
			problems.invalid(path + key)
		}
	}
	for key, least := range map[string]float64{"price": 0, "quantity": 1} {
		if line[key] == nil {
			problems.null(path + key)
		} else if numberOr(line[key], -1) < least {
			problems.invalid(path + key)
		}
	}
	if categories, _ := line["categories"].([]any); len(categories) > 10 {
		problems.invalid(path + "categories")
	}
}
