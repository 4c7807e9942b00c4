package bitrix24

import (
	"encoding/json"
	"strings"
)

// classicNames are the fields whose classic name is not the universal one in capitals
// (sheet 5.3), by the kind's word.
var classicNames = map[string]string{
	"company.typeId": "COMPANY_TYPE", "company.contactIds": "CONTACT_ID",
	"lead.stageId": "STATUS_ID", "lead.stageSemanticId": "STATUS_SEMANTIC_ID",
}

// classicName is what the classic methods call a field of crm.item.*.
func (k kind) classicName(name string) string {
	if classic, ok := classicNames[k.classic()+"."+name]; ok {
		return classic
	}
	if strings.HasPrefix(name, "UF_") {
		return name
	}
	var b strings.Builder
	digits := false
	for i, r := range name {
		isDigit := r >= '0' && r <= '9'
		if i > 0 && (r >= 'A' && r <= 'Z' || isDigit && !digits) {
			b.WriteByte('_')
		}
		digits = isDigit
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// classicEmpty is how the classic update is told to clear: a list by an empty one,
// anything else by an empty text.
func classicEmpty(raw json.RawMessage) any {
	if string(raw) == "[]" {
		return []string{}
	}
	return ""
}
