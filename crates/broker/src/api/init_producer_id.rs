//! InitProducerId (22), versions 0–5: an identity for an idempotent producer (KIP-98). Ids are taken from blocks that
//! the catalog hands out, so that none is given twice, over restarts too. Transactions are not served yet: a request
//! with a transactional id is refused.

use std::ops::RangeInclusive;

use millstream_protocol::ErrorCode;
use millstream_protocol::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use tracing::error;

use super::Call;
use crate::Broker;

pub(crate) const VERSIONS: RangeInclusive<i16> = 0..=5;

pub(crate) async fn handle(broker: &Broker, _call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return refused(ErrorCode::UnsupportedVersion);
    }
    if (request.producer_id < 0) != (request.producer_epoch < 0) {
        return refused(ErrorCode::InvalidRequest);
    }
    match broker.producer_ids().next(broker.catalog()).await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..InitProducerIdResponse::default() },
        Err(error) => {
            error!(%error, "no producer ids can be had");
            refused(ErrorCode::CoordinatorNotAvailable)
        }
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: error.code(), producer_epoch: -1, ..InitProducerIdResponse::default() }
}
