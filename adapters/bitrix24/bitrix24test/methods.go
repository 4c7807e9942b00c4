package bitrix24test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// method is one REST method.
type method struct {
	scope   string     // "" for the basic one, which everybody has
	appOnly *restError // the answer to a webhook, if the method needs an application
	records access     // what it does to the portal's records
	run     handler    // nil if the method exists but is not simulated
}

// access is which lock on the records a method runs under. Handlers take none themselves.
type access uint8

const (
	noRecords access = iota
	reading
	writing
)

// call runs the method under its lock.
func (m *method) call(c *call, dst []byte) ([]byte, page, *restError) {
	switch m.records {
	case reading:
		c.portal.records.RLock()
		defer c.portal.records.RUnlock()
	case writing:
		c.portal.records.Lock()
		defer c.portal.records.Unlock()
	}
	return m.run(c, dst)
}

var (
	errMethodNotFound = &restError{404, "ERROR_METHOD_NOT_FOUND", "Method not found!"}
	errNotSimulated   = &restError{400, "NOT_SIMULATED", "bitrix24test does not simulate this method"}
	errNeedsApp       = &restError{403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method"}
	errNeedsContext   = &restError{400, "ACCESS_DENIED", "Access denied! Application context required"}
)

// notSimulated are methods that a portal has and this one only knows by name, by scope: so their
// answer is not "no such method".
var notSimulated = map[string]string{
	"crm": `crm.activity.add crm.activity.update crm.activity.delete crm.activity.get crm.activity.list
		crm.requisite.list crm.requisite.add crm.timeline.comment.add`,
	"task": "task.item.list task.item.add tasks.task.list tasks.task.add",
	"im":   "im.message.add im.notify",
	"disk": "disk.storage.getlist disk.file.get",
}

// methodTable lists the portal's methods under their names in lower case.
func methodTable(types map[int]*entityType) map[string]*method {
	table := map[string]*method{
		"batch":                 {},
		"server.time":           {run: serverTime},
		"profile":               {run: profile},
		"user.admin":            {run: userAdmin},
		"user.current":          {scope: "user", run: userCurrent},
		"app.info":              {appOnly: errNeedsContext, run: appInfo},
		"scope":                 {run: scopeList},
		"method.get":            {run: methodGet},
		"methods":               {run: methodNames},
		"feature.get":           {run: featureGet},
		"crm.settings.mode.get": {scope: "crm", run: crmMode},
		"crm.item.list":         {scope: "crm", records: reading, run: itemList},
		"crm.item.get":          {scope: "crm", records: reading, run: itemGet},
		"crm.item.fields":       {scope: "crm", records: reading, run: itemFieldInfo},
		"crm.item.add":          {scope: "crm", records: writing, run: itemAdd},
		"crm.item.update":       {scope: "crm", records: writing, run: itemUpdate},
		"crm.item.delete":       {scope: "crm", records: writing, run: itemDelete},
		"crm.item.import":       {scope: "crm", records: writing, run: itemImport},
		"crm.item.batchimport":  {scope: "crm", records: writing, run: itemBatchImport},
		"crm.status.list":       {scope: "crm", run: statusList},
		"crm.category.list":     {scope: "crm", run: categoryList},
		"crm.type.list":         {scope: "crm", run: typeList},

		"crm.duplicate.findbycomm": {scope: "crm", records: reading, run: findByCommunication},

		"events":              {appOnly: errNeedsApp, run: eventNames},
		"event.bind":          {appOnly: errNeedsApp, run: eventBind},
		"event.unbind":        {appOnly: errNeedsApp, run: eventUnbind},
		"event.get":           {appOnly: errNeedsApp, run: eventGet},
		"event.test":          {appOnly: errNeedsApp, run: eventTest},
		"event.offline.get":   {appOnly: errNeedsApp, run: offlineGet},
		"event.offline.list":  {appOnly: errNeedsApp, run: offlineList},
		"event.offline.clear": {appOnly: errNeedsApp, run: offlineClear},
		"event.offline.error": {appOnly: errNeedsApp, run: offlineError},
	}
	for _, t := range types {
		if t.code != "" {
			prefix := "crm." + t.code + "."
			for name, run := range map[string]handler{
				"list": classicList(t), "get": classicGet(t), "fields": classicFieldInfo(t), "userfield.list": userFieldList(t),
			} {
				table[prefix+name] = &method{scope: "crm", records: reading, run: run}
			}
			for name, run := range map[string]handler{
				"add": classicAdd(t), "update": classicUpdate(t), "delete": classicDelete(t), "userfield.add": userFieldAdd(t),
			} {
				table[prefix+name] = &method{scope: "crm", records: writing, run: run}
			}
			bindingMethods(table, t)
		}
	}
	for scope, names := range notSimulated {
		for name := range strings.FieldsSeq(names) {
			table[name] = &method{scope: scope}
		}
	}
	return table
}

func serverTime(c *call, dst []byte) ([]byte, page, *restError) {
	dst = appendISO(append(dst, '"'), time.Now().Unix(), c.portal.location)
	return append(dst, '"'), page{}, nil
}

func (c *call) appendText(dst []byte, key, text string) []byte {
	dst = append(append(dst, key...), ':')
	return appendString(dst, text, c.portal.quirks.EscapeJSON)
}

func profile(c *call, dst []byte) ([]byte, page, *restError) {
	dst = c.appendText(dst, `{"ID"`, strconv.Itoa(c.request.credential.userID))
	dst = strconv.AppendBool(append(dst, `,"ADMIN":`...), c.isAdmin())
	dst = append(dst, `,"NAME":"Gil","LAST_NAME":"Moss","PERSONAL_GENDER":"","TIME_ZONE":"Europe`...)
	if c.portal.quirks.EscapeJSON {
		dst = append(dst, '\\')
	}
	return append(dst, `/Berlin"}`...), page{}, nil
}

func userCurrent(c *call, dst []byte) ([]byte, page, *restError) {
	dst = c.appendText(dst, `{"ID"`, strconv.Itoa(c.request.credential.userID))
	dst = append(dst, `,"ACTIVE":true,"NAME":"Gil","LAST_NAME":"Moss","SECOND_NAME":""`...)
	if slices.Contains(c.portal.scopes, "user") {
		dst = append(dst, `,"EMAIL":"gil.moss@example.org","PERSONAL_MOBILE":"","UF_DEPARTMENT":[1]`...)
	}
	return append(dst, `,"USER_TYPE":"employee"}`...), page{}, nil
}

func userAdmin(c *call, dst []byte) ([]byte, page, *restError) {
	return strconv.AppendBool(dst, c.isAdmin()), page{}, nil
}

// appInfo answers on the portal and, with the members that tell whose token it is, on the
// authorization server.
func appInfo(c *call, dst []byte) ([]byte, page, *restError) {
	return c.portal.appendAppInfo(dst), page{}, nil
}

func (p *Portal) appendAppInfo(dst []byte) []byte {
	dst = appendString(append(dst, `{"ID":1,"CODE":`...), p.clientID, p.quirks.EscapeJSON)
	app := p.application()
	dst = strconv.AppendInt(append(dst, `,"VERSION":`...), int64(app.version), 10)
	dst = appendString(append(dst, `,"STATUS":`...), app.payment.Status, p.quirks.EscapeJSON)
	dst = strconv.AppendBool(append(dst, `,"INSTALLED":`...), app.finished)
	dst = append(dst, `,"PAYMENT_EXPIRED":"`+yesNo(app.payment.Expired)+`","DAYS":`...)
	if app.payment.Status == "L" || app.payment.Status == "F" {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(app.payment.Days), 10)
	}
	dst = append(dst, `,"LANGUAGE_ID":"en"`...)
	license := append([]byte("de_"), p.licenseFamily...)
	dst = appendString(append(dst, `,"LICENSE":`...), license, p.quirks.EscapeJSON)
	dst = append(dst, `,"LICENSE_TYPE":null`...)
	dst = appendString(append(dst, `,"LICENSE_FAMILY":`...), p.licenseFamily, p.quirks.EscapeJSON)
	return append(dst, '}')
}

func (c *call) appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, text, c.portal.quirks.EscapeJSON)
	}
	return append(dst, ']')
}

func scopeList(c *call, dst []byte) ([]byte, page, *restError) {
	scopes := c.portal.scopes
	if c.params.fold("full").truthy() {
		scopes = []string{"crm", "disk", "im", "task", "user", "user_basic", "user_brief"}
	}
	return c.appendTexts(dst, scopes), page{}, nil
}

func methodGet(c *call, dst []byte) ([]byte, page, *restError) {
	m := c.portal.methods[strings.ToLower(c.params.fold("name").string())]
	available := m != nil && c.portal.allows(m, c.request.credential) == nil
	dst = strconv.AppendBool(append(dst, `{"isExisting":`...), m != nil)
	dst = strconv.AppendBool(append(dst, `,"isAvailable":`...), available)
	return append(dst, '}'), page{}, nil
}

func methodNames(c *call, dst []byte) ([]byte, page, *restError) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.portal.methods)), func(name string) bool {
		return c.portal.allows(c.portal.methods[name], c.request.credential) != nil
	})
	return c.appendTexts(dst, names), page{}, nil
}

func featureGet(c *call, dst []byte) ([]byte, page, *restError) {
	code := c.params.fold("CODE").string()
	if code == "" {
		return dst, page{}, &restError{400, "CODE_EMPTY", "Empty feature code"}
	}
	has := code == "rest_offline_extended" && !c.portal.quirks.NoReservations || code == "rest_auth_connector" && !c.portal.quirks.NoAuthConnector
	return append(dst, `{"value":"`+yesNo(has)+`"}`...), page{}, nil
}

func crmMode(c *call, dst []byte) ([]byte, page, *restError) {
	if c.portal.quirks.SimpleCRM {
		return append(dst, '2'), page{}, nil
	}
	return append(dst, '1'), page{}, nil
}
