package bitrix24_test

import (
	"fmt"
	"testing"
)

// quirks says which tests show that the adapter bears the quirks of the contract sheet
// (section 8), so that nobody has to look for them.
var quirks = map[string][]func(*testing.T){
	"Q1":  {TestObjects, TestOfflineAnswersOfAnyShape}, // ids as strings and as numbers
	"Q2":  {TestFindDuplicates, TestLifeOfRecords},     // [] for an empty map
	"Q3":  {TestCases, TestWhatIsSentInBatches},        // T17: names of commands
	"Q4":  {TestErrorTable},                            // errors without a code
	"Q5":  {TestErrorTable},                            // codes in any case, statuses by version
	"Q6":  {TestWrongClient},                           // an error with 200
	"Q7":  {TestErrorTable, TestFaults},                // two meanings of 503
	"Q8":  {TestUsedUpAllowanceIsWaitedFor, TestAllowanceSmallerThanPublished},
	"Q9":  {TestOperatingLimitOfWrites}, // who pays for a batch
	"Q10": {TestAnswersThatArePagesOfSomebodyElse},
	"Q11": {TestRenamedPortal},
	"Q12": {TestTokenThatExpiresDuringAWalkIsRefreshedOnce},
	"Q13": {TestWhatIsSentInBatches, TestWhatABatchCannotCarry}, // no references at all
	"Q14": {TestWhatABatchCannotCarry},                          // null
	"Q15": {TestWhatIsSentPageByPage},                           // one spelling of filter
	"Q16": {TestWhatIsSentPageByPage, TestPortalThatRepeatsAPage},
	"Q17": {TestWhatIsSentPageByPage}, // no classic lists of records
	"Q18": {TestPortalThatPassesOverDates},
	"Q19": {TestClearing, TestClearingIsChecked},
	"Q20": {TestEditMultifields, TestMultifieldsOfAPush},
	"Q21": {TestRecordsAreThePortalsOwnBytes}, // fm comes only without a selection
	"Q22": {TestTotalIsNotTrusted},
	"Q23": {TestPortalThatDoesNotKeepTheOrder, TestWhatIsSentPageByPage},
	"Q24": {TestWhatIsSentPageByPage}, // ascending
	"Q25": {TestAnswersThatAreNoList, TestStagesAndFunnels},
	"Q26": {TestProcessOffline, TestOnlyChangesAreReadAgain}, // lost events are made up for
	"Q27": {TestOfflineEvents, TestProcessOffline},           // who gives a process_id
	"Q28": {TestConnectorKeepsOwnWritesAway},
	"Q29": {TestEventsOfAPortal, TestParseEvent}, // events without tokens
	"Q30": {TestBatchesFitTheirTime},             // smaller bursts
	"Q31": {TestAnHourOfMixedLoad},               // two accounts, one bucket
	"Q32": {TestWebhookAddresses},
	"Q33": {TestStagesAndFunnels}, // HasLeads
	"Q34": {TestParseEvent},       // scopes with commas and spaces
	"Q35": {TestRecordsAreThePortalsOwnBytes, TestPortalWithoutTimes},
	"Q36": {TestAnswersThatLeaveCommandsOut, TestBatchAnswersThatMissACommand}, // absent is not null
}

// TestEveryQuirkIsThere counts the sheet's thirty-six.
func TestEveryQuirkIsThere(t *testing.T) {
	for n := 1; n <= 36; n++ {
		if len(quirks[fmt.Sprint("Q", n)]) == 0 {
			t.Errorf("Q%d is not tested", n)
		}
	}
}
